"""`Picture`: one sample with what was predicted for it and what is true, as plain data to draw from."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input, input_kind
from mtl.metrics.task_metrics import Predictions
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import target_of
from mtl.task import InputSpec, Task

TEXT_COLOUR = "#1d4e89"  # of a sentence, which is no answer
AnyInputs = nn.ModuleDict | Mapping[str, InputSpec]

# Tableau's ten, made for telling classes apart
_COLOURS = [
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#bcbd22",
    "#17becf",
    "#7f7f7f",
]


@dataclass(frozen=True)
class Picture:
    """One sample with all that was predicted for it.

    Args:
        image: uint8, [3,H,W].
        overlays: what each task has to show, by its name, in pixels of the image.
        text: what belongs to the picture, such as the sentence that is asked about it.
    """

    image: Tensor
    overlays: dict[str, Overlay]
    text: str = ""

    @property
    def answers(self) -> dict[str, Answer]:
        """What the tasks say in words."""
        return {name: overlay.answer for name, overlay in self.overlays.items() if overlay.answer is not None}


def class_colour(index: int) -> str:
    """A colour for a class, the same in every picture, as `#rrggbb`.

    Args:
        index: class index.
    """
    if index < len(_COLOURS):
        return _COLOURS[index]
    # steps of the golden ratio around the colour circle never come close to each other
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.75, 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def take_picture(
    batch: Batch,
    predictions: Mapping[str, Predictions],
    index: int,
    tasks: Mapping[str, Task],
    min_score: float = 0.3,
    image: str = "image",
    inputs: AnyInputs | None = None,
) -> Picture:
    """One sample of a batch, copied to the CPU.

    Args:
        batch: a batch as `collate` makes it.
        predictions: what the heads' `decode` returned for it, by task.
        index: which sample.
        tasks: the tasks, by name.
        min_score: what is less certain is left out.
        image: batch key of the pictures.
        inputs: inputs whose sentences are written above the picture, by name.
    """
    overlays = {}
    for name, found in predictions.items():
        task = tasks[name]
        known = name in batch and bool(labelled(batch, task)[index])
        overlays[name] = target_of(task).overlay(found, index, batch if known else None, min_score)
    return Picture(as_rgb(batch[image][index]), overlays, text_of(inputs or {}, batch, index))


def text_of(inputs: AnyInputs, batch: Mapping[str, Tensor], index: int) -> str:
    """The sentence of a sample as the network reads it, and whether its picture is absent.

    Args:
        inputs: the inputs of a model or of a data module, by name.
        batch: a batch.
        index: which sample.
    """
    parts = []
    for name, part in inputs.items():
        if isinstance(part, Input):
            spec, kind = part.spec, type(part)
        elif isinstance(part, InputSpec):
            spec, kind = part, input_kind(part)
        else:
            continue
        is_text = kind.step_names is not Input.step_names and not kind.steps_of
        if not is_text and kind is not ImageInput:
            continue
        if spec.optional and not bool(batch[spec.present_field][index]):
            parts.append(f"(no {name})")
        elif is_text:
            reader = part if isinstance(part, Input) else kind(spec)
            parts.append(" ".join(reader.step_names(batch, index)))
    return " ".join(parts)


def as_rgb(image: Tensor) -> Tensor:
    """An image of any number of channels as uint8 [3,H,W]: one is grey, two are red and green, of more the first three.

    Args:
        image: uint8, or float in 0..1, [C,H,W].
    """
    image = image.detach().cpu()
    if image.dtype != torch.uint8:
        image = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    if len(image) == 1:
        return image.expand(3, -1, -1)
    return torch.cat((image, torch.zeros_like(image[:1])))[:3] if len(image) == 2 else image[:3]
