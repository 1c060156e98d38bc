"""What architectures cost beside hard sharing, for `python -m mtl list architectures`: measured on small trunks."""

import warnings
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.cost import cost, cost_alone
from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.text.bilstm import BiLSTM
from mtl.task import InputSpec

_NAMES = ["a", "b", "c"]
_IMAGE = {"image": torch.zeros(1, 3, 64, 64)}
_WORDS = {"words": torch.ones(1, 8, dtype=torch.long), "words_mask": torch.ones(1, 8, dtype=torch.bool)}
_TRUNKS: list[tuple[Callable[[], Backbone], Mapping[str, Tensor]]] = [
    (lambda: ResidualFPN(width=16, pyramid_width=32, blocks=2), _IMAGE),
    (lambda: BiLSTM({"words": InputSpec("words", "tokens", 100)}, 32, 16, layers=2), _WORDS),
]


def cost_of(cls: type[Architecture]) -> dict[str, float]:
    """Multiples of hard sharing with three tasks and the defaults of a class: parameters and operations of all tasks,
    and the costs of one task alone after `harden`; of the first trunk that it works on, nothing if there is none.

    Args:
        cls: the class.
    """
    for index in range(len(_TRUNKS)):
        try:
            found = _measured(cls, index)
        except (ValueError, TypeError):  # not on this trunk, or arguments without a default
            continue
        whole, alone = _measured(HardSharing, index)
        parameters, flops, parameters_alone, flops_alone = (
            ours / max(1, theirs) for ours, theirs in zip((*found[0], *found[1]), (*whole, *alone), strict=True)
        )
        counted = {"flops": flops, "flops_alone": flops_alone} if whole[1] else {}
        return {"parameters": parameters, "parameters_alone": parameters_alone, **counted}
    return {}


@cache
def _measured(cls: type[Architecture], index: int) -> tuple[tuple[int, int], tuple[int, int]]:
    make, prepared = _TRUNKS[index]
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        made = cls.example(make(), _NAMES).eval()
        whole, alone = cost(made, prepared), cost_alone(made, _NAMES[0], prepared)
    return (whole.parameters, whole.flops), (alone.parameters, alone.flops)
