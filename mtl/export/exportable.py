"""`ExportableModel`: a model whose inputs and outputs are plain tensors in a fixed order, as exporters want them.

Shapes: B samples, C channels, H x W pixels.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as pixels

from mtl.backbones.backbone import Backbone
from mtl.errors import did_you_mean
from mtl.features import MASK
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input
from mtl.model import MultiTaskModel

OutputForm = Literal["decoded", "raw"]


class ExportableModel(nn.Module):
    """A copy of a model, ready to be exported: some of its tasks, hardened, filters contiguous, on the CPU.

    Args:
        model: a trained model; it is left as it is.
        tasks: names of the tasks to keep; all by default.
        output: `decoded` (what `predict` gives) or `raw` (what the heads give).
        size: height and width of the network's input in pixels; for models of one image.
        resize_inside: images of any size come in and are stretched to `size` in the file.
        float_images: images come in as float32 in 0..1, as the data of the run have them, and not as uint8.

    Raises:
        ValueError: for a task that the model has not, or settings that do not fit its inputs.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Sequence[str] | None = None,
        output: OutputForm = "decoded",
        size: tuple[int, int] | None = None,
        resize_inside: bool = False,
        float_images: bool = False,
    ) -> None:
        super().__init__()
        self.tasks = _chosen(model, tasks)
        self.output = output
        self.images = [name for name, part in model.inputs.items() if isinstance(part, ImageInput)]
        if self.images and (size is None or min(size) < 1):
            raise ValueError(f"size={size}: a model of images is exported for a height and a width in pixels.")
        if resize_inside and not self.images:
            raise ValueError("resize_inside is for images; this model takes none.")
        self.size, self.resize_inside, self.float_images = size, resize_inside, float_images
        self.model = copy.deepcopy(model).cpu().float().eval()
        for name in list(self.model.heads):
            if name not in self.tasks:
                del self.model.heads[name]
        if len(self.tasks) == 1:  # hardened for one task, an architecture has nothing left for another
            self.model.trunk.harden(self.tasks[0])
        self._drop_inputs_that_nothing_reads()
        self.model.set_memory_format(channels_last=False)  # some exporters fail on the other one
        self.model.requires_grad_(False)
        example = self.example(2)
        self.input_names = list(example)
        with torch.no_grad():
            found = self._named(example)
        self.output_names = list(found)
        # outputs that a file of one length gives for padding too, and whose steps they have
        self.in_steps = self._outputs_in_steps(example, found)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs in the order of `output_names`.

        Args:
            inputs: in the order of `input_names`; images are uint8 [B,C,H,W], or float32 with `float_images`.
        """
        batch = dict(zip(self.input_names, inputs, strict=True))
        if self.resize_inside:
            assert self.size is not None
            for name in self.images:
                # the size is the one of training, and so are the weights of the filter
                batch[name] = pixels.resize(batch[name].float(), list(self.size), antialias=True)
                if not self.float_images:
                    batch[name] = batch[name].round().clamp(0, 255).to(torch.uint8)
        return tuple(self._named(batch).values())

    def example(self, num_samples: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs as they come in, by name.

        Args:
            num_samples: B.
            seed: of the random numbers.
        """
        rng, batch = np.random.default_rng(seed), {}
        for name, part in self.model.inputs.items():
            assert isinstance(part, Input)
            if isinstance(part, ImageInput):
                assert self.size is not None
                values = rng.integers(0, 256, (num_samples, part.spec.channels, *self.size), dtype=np.uint8)
                batch[name] = torch.from_numpy(values)
                if self.float_images:
                    batch[name] = batch[name].float() / 255
            else:
                batch |= part.collate(part.spec, [part.example(part.spec, rng) for _ in range(num_samples)])
        sizes: dict[str, int] = {}
        places = [(n, dim, size) for n, dims in self.open_dimensions().items() for dim, (size, _) in dims.items()]
        places = [place for place in places if place[0] in batch]
        for name, dim, size in places:
            sizes[size] = min(batch[name].shape[dim], sizes.get(size, batch[name].shape[dim]))
        for name, dim, size in places:  # words and their letters were drawn apart, and have one length
            # a graph fixes a size that it can read off the strides of a view
            batch[name] = batch[name].narrow(dim, 0, sizes[size]).contiguous()
        return batch

    def compiled(self) -> "ExportableModel":
        """A copy under `torch.compile`; loops over steps stay as they are, for a graph of every step takes minutes."""
        network = copy.deepcopy(self)
        if any(network.model.head(name).decodes_in_steps for name in network.tasks):
            network.model.decode = torch.compiler.disable(network.model.decode)  # type: ignore[method-assign]
        network.compile()
        return network

    def open_dimensions(self) -> dict[str, dict[int, tuple[str, int]]]:
        """Dimensions of the inputs that differ from batch to batch, beside the batch and the sizes of images.

        Returns:
            For each input and mask that has some: the dimension, to the name of its size (equal sizes have one name)
            and what it is a multiple of.
        """
        parts = {name: part for name, part in self.model.inputs.items() if isinstance(part, Input)}
        found: dict[str, dict[int, tuple[str, int]]] = {}
        for name, part in parts.items():
            owner = next((other for other, one in parts.items() if one.kind == part.steps_of), name)
            for place, (dim, multiple) in enumerate(part.open_dimensions(part.spec).items()):
                size = (f"{name}_size{dim}" if place else f"{owner}_length", multiple)
                found.setdefault(name, {})[dim] = size
                if not place:
                    found[name + MASK] = {dim: size}
        return found

    def _outputs_in_steps(self, example: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, str]:
        """Outputs that have a row for each step of an input, and the input; found by sequences without their end."""
        sizes: dict[str, list[str]] = {}
        for name, dims in self.open_dimensions().items():
            for dim, (size, _) in dims.items():
                if dim == 1 and name in example:
                    sizes.setdefault(size, []).append(name)
        made: dict[str, str] = {}
        for names in sizes.values():
            steps = example[names[0]].shape[1]
            shorter = steps - self.open_dimensions()[names[0]][1][1]
            if shorter < 1:
                continue
            with torch.no_grad():
                cut = self._named({**example, **{name: example[name][:, :shorter].contiguous() for name in names}})
            rows = {name: (found[name].shape[1:2], cut[name].shape[1:2]) for name in found}
            made |= {name: names[0] for name, both in rows.items() if both == ((steps,), (shorter,))}
        return made

    def _drop_inputs_that_nothing_reads(self) -> None:
        backbones = [part for part in self.model.modules() if isinstance(part, Backbone)]
        read = {name for part in backbones for name in part.inputs}
        for name in list(self.model.inputs):
            if name not in read:
                del self.model.inputs[name]

    def _named(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        outputs = self.model(batch)
        if self.output == "decoded":
            outputs = self.model.decode(outputs)
        return {f"{name}_{key}": value for name, values in outputs.items() for key, value in sorted(values.items())}


def _chosen(model: MultiTaskModel, tasks: Iterable[str] | None) -> list[str]:
    chosen = list(model.heads if tasks is None else tasks)
    for name in chosen:
        if name not in model.heads:
            raise ValueError(
                f"the model has no task {name!r}; it has {', '.join(model.heads)}.{did_you_mean(name, model.heads)}"
            )
        head = model.head(name)
        if not head.exportable:
            rest = [other for other in model.heads if model.head(other).exportable]
            raise ValueError(
                f"task {name!r}: {type(head).__name__} searches its answer step by step, which no file can hold; "
                f"export the other tasks: {', '.join(rest) or 'there is none'}."
            )
    if not chosen:
        raise ValueError(f"no task is left to export; the model has {', '.join(model.heads)}.")
    return chosen
