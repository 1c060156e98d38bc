"""Before a training: every input learns from the training samples what its preparation needs, the same on all ranks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Trainer
from torch import nn

from mtl.data.rank_zero import from_rank_zero
from mtl.inputs.input import Input

if TYPE_CHECKING:
    from mtl.data.module import JointDataModule


def adapt_inputs(data: "JointDataModule", parts: Mapping[str, nn.Module], trainer: Trainer) -> None:
    """Call `adapt` of the inputs that learn something; a checkpoint that is loaded afterwards replaces what they learn.

    Args:
        data: the data module, after `setup`.
        parts: modules of the model, the inputs among them.
        trainer: the trainer that is about to start; rank 0 reads the samples and broadcasts the result.

    Raises:
        ValueError: if samples do not fit the input.
    """
    for part in parts.values():
        if not isinstance(part, Input) or type(part).adapt is Input.adapt:
            continue
        name = part.spec.name

        def learned(part: Input = part, name: str = name) -> dict[str, Any]:
            part.adapt(data.training_values(name))
            return part.state_dict()

        part.load_state_dict(from_rank_zero(trainer, f"prepare input {name!r}", learned))
