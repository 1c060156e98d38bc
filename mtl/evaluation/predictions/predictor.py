"""What `predict_folder` asks for answers: a trained model, or a file that was exported from one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from mtl.export.onnx_file import OnnxModel
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.task import Task

OTHER_SOURCES = (
    "Give a run of a table --table FILE, of sentences --text FILE, of recordings --audio FOLDER, of pictures --images "
    "FOLDER, and any run --split test for the samples of its own data."
)


@dataclass
class Predictor(ABC):
    """Answers about pictures.

    Args:
        tasks: the tasks, by name.
        channels: of the pictures, 1 or 3.
    """

    tasks: dict[str, Task]
    channels: int

    @abstractmethod
    def predict(self, images: Tensor) -> dict[str, dict[str, Tensor]]:
        """Decoded predictions by task and key.

        Args:
            images: uint8 [B,C,H,W].
        """

    @contextmanager
    def ready(self) -> Iterator[None]:
        """While predictions are asked for."""
        yield


class _OfModel(Predictor):
    def __init__(self, model: MultiTaskModel) -> None:
        super().__init__({name: model.head(name).task for name in model.heads}, channels_of_pictures(model))
        self.model = model
        self.device = next(model.parameters()).device

    def predict(self, images: Tensor) -> dict[str, dict[str, Tensor]]:
        return self.model.predict(images.to(self.device))

    @contextmanager
    def ready(self) -> Iterator[None]:
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)


class _OfOnnx(Predictor):
    def __init__(self, file: OnnxModel) -> None:
        known = file.description
        if known.get("output") != "decoded" or not known.get("tasks"):
            raise ValueError(
                f"the model file gives {known.get('output', 'unknown')!r} outputs; predict needs one that "
                "`python -m mtl export --output decoded` wrote."
            )
        inputs = file.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (1, 3):
            takes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise ValueError(f"predict reads RGB or grey pictures (--images); this model file takes {takes}.")
        tasks = {}
        for name, task in known["tasks"].items():
            tasks[name] = Task(name, task["kind"], class_names=tuple(task["classes"]))
        super().__init__(tasks, inputs[0].shape[1])
        self.file, self.input = file, inputs[0].name

    def predict(self, images: Tensor) -> dict[str, dict[str, Tensor]]:
        found: dict[str, dict[str, Tensor]] = {name: {} for name in self.tasks}
        for output, value in self.file({self.input: images}).items():
            # the longest name: tasks `box` and `box_far` may both be there
            task = max((name for name in self.tasks if output.startswith(f"{name}_")), key=len)
            found[task][output.removeprefix(f"{task}_")] = value
        return found


def predictor_of(model: MultiTaskModel | MultiTaskLightningModule | OnnxModel) -> Predictor:
    """What gives the answers of a model.

    Args:
        model: a trained model, or a file that was exported from one.

    Raises:
        ValueError: if it takes anything else than one RGB or grey picture, or the file gives raw outputs.
    """
    if isinstance(model, OnnxModel):
        return _OfOnnx(model)
    return _OfModel(model if isinstance(model, MultiTaskModel) else model.model)


def channels_of_pictures(model: MultiTaskModel) -> int:
    """Channels of the pictures that a model takes.

    Args:
        model: the model.

    Raises:
        ValueError: if it takes anything else than one RGB or grey picture.
    """
    inputs = list(model.inputs.values())
    if len(inputs) == 1 and isinstance(inputs[0], ImageInput) and inputs[0].spec.channels in (1, 3):
        return inputs[0].spec.channels
    specs = [part.spec for part in inputs if isinstance(part, Input)]
    takes = ", ".join(f"{spec.name} ({spec.kind}, {spec.channels} channels)" for spec in specs)
    raise ValueError(f"--images reads RGB or grey pictures; this model takes {takes}. {OTHER_SOURCES}")
