"""`InitialWeights`: start training from parts of another run's model, or of a file of weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from mtl.inputs.image import ImageInput
from mtl.inputs.input import input_kind
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_weights
from mtl.runs.weights_to_take import WeightsToTake
from mtl.task import Inputs

_FILES = (".ckpt", ".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class InitialWeights:
    """Which weights to take from which run.

    Heads are matched by the names of their classes: a class that both runs name keeps its weights, whatever its number.
    The trunk of a run with hard sharing, or a plain file of weights, starts any architecture: copies of the backbone
    (experts, columns, norms of tasks) start from it. Filters over pictures with another number of channels are averaged
    over the channels and scaled.

    Args:
        run: folder of a run, whose best checkpoint is taken; a checkpoint file; or a plain file of weights (`.pt`,
            `.pth`, `.safetensors`), of a whole model or of what stands inside one of its parts, such as a backbone of
            torchvision.
        parts: parts of the model by their dotted names: `trunk`, `heads`, `heads.depth`.

    Raises:
        ValueError: if there are no parts.
    """

    run: str
    parts: list[str] = field(default_factory=lambda: ["trunk"])

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("init_from.parts is empty, so nothing would be taken. Name parts, or leave init_from out.")

    def read(self) -> WeightsToTake:
        """The weights, read from the file.

        Raises:
            FileNotFoundError: if there is no such run or checkpoint.
            UnsafeFile: if it is damaged, holds code, or no tensors by name.
        """
        is_file = self.run.lower().endswith(_FILES) or Path(self.run).is_file()
        path = checkpoint_file(self.run) if is_file else find_checkpoint(self.run)
        return WeightsToTake(path, *read_weights(path), self.parts)


def load_start(initial: InitialWeights | None, backbone: nn.Module, inputs: Inputs) -> Callable[[nn.Module], None]:
    """Put weights of another run into a backbone that no architecture has copied yet.

    Args:
        initial: the weights, if there are any.
        backbone: the backbone.
        inputs: what the data feeds.

    Returns:
        What puts the rest into the model that is built on the backbone.
    """
    if initial is None:
        return lambda model: None
    weights = initial.read()
    channels = {spec.channels for spec in inputs.values() if issubclass(input_kind(spec), ImageInput)}
    if weights.load_backbone(backbone, channels):
        backbone.pretrained = True  # type: ignore[assignment]  # copies of it keep the weights
    return weights.load_into
