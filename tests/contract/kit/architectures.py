"""Architectures with small backbones of every layout, three tasks, and a batch of examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.backbones.text.transformer import TextTransformer
from mtl.batch import Batch, collate
from mtl.functional.gradient_rows import gramian_of_matrix
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.head import Head
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.multilabel import MultilabelHead
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.targets.target import target_of
from mtl.task import IMAGE, Inputs, InputSpec, Task
from tests.contract.kit.found import found
from tests.contract.kit.ranks import without_batch_norm

SAMPLES = 4  # of all ranks
NIGHTLY = pytest.mark.nightly
CLASSES = 3


@dataclass(frozen=True)
class Ground:
    """A backbone, and heads that fit on it.

    Args:
        inputs: what the backbone takes.
        backbone: makes it.
        heads: a head and the kind of its target, by task.
    """

    inputs: Inputs
    backbone: Callable[[Inputs], Backbone]
    heads: Mapping[str, tuple[type[Head], str]]


_WHOLE: dict[str, tuple[type[Head], str]] = {
    "first": (ClassificationHead, "classification"),
    "second": (RegressionHead, "regression"),
}
GROUNDS = {
    "map": Ground(
        IMAGE,
        lambda inputs: ResidualFPN(inputs, width=4, pyramid_width=4, blocks=2),
        {**_WHOLE, "third": (CenterNetHead, "detection")},
    ),
    "sequence": Ground(
        {"words": InputSpec("words", "tokens", 9)},
        lambda inputs: BiLSTM(inputs, embedding=6, hidden=3, layers=3, dropout=0.0),
        {**_WHOLE, "third": (TaggingHead, "tags")},
    ),
    "tokens": Ground(
        {"words": InputSpec("words", "tokens", 9)},
        lambda inputs: TextTransformer(inputs, 8, layers=3, attention_heads=2, feed_forward=8, dropout=0.0),
        {**_WHOLE, "third": (TaggingHead, "tags")},
    ),
    "vector": Ground(
        {"row": InputSpec("row", "table", 3)},
        lambda inputs: TableMLP(inputs, (6, 6, 6)),
        {**_WHOLE, "third": (MultilabelHead, "multilabel")},
    ),
}


Maker = Callable[[Backbone, list[str]], Architecture]


def trunk(cls: Maker, ground: str) -> Architecture:
    """An architecture with the weights of seed 0; batch norms, whose statistics are those of a rank, are replaced.

    Args:
        cls: its class, or what makes it from a backbone and the names of the tasks.
        ground: name of one of `GROUNDS`.
    """
    place = GROUNDS[ground]
    torch.manual_seed(0)
    make = cls.example if isinstance(cls, type) and issubclass(cls, Architecture) else cls
    made = make(place.backbone(place.inputs), list(place.heads))
    without_batch_norm(made)
    return made


def grounds_of(cls: type[Architecture]) -> list[str]:
    """Where an architecture can be built; the first place where it cannot be anywhere, so that a test says why.

    Args:
        cls: its class.
    """
    fitting = []
    for ground in GROUNDS:
        try:
            trunk(cls, ground)
        except ValueError:
            continue
        fitting.append(ground)
    return fitting or ["map"]


def model(cls: Maker, ground: str, heads: Mapping[str, tuple[type[Head], str]] = {}) -> MultiTaskModel:
    """A model of three tasks.

    Args:
        cls: class of its architecture, or what makes it.
        ground: name of one of `GROUNDS`.
        heads: heads that take the place of its own, by task.
    """
    shared = trunk(cls, ground)
    built = {name: head(task_of(name, kind), shared.spec) for name, (head, kind) in _heads(ground, heads).items()}
    inputs = {name: input_kind(spec)(spec) for name, spec in GROUNDS[ground].inputs.items()}
    made = MultiTaskModel(shared, built, inputs)
    without_batch_norm(made)
    # a parameter that starts at 0 hides what is behind it
    generator = torch.Generator().manual_seed(1)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return made


def batch(ground: str, heads: Mapping[str, tuple[type[Head], str]] = {}, rank: int = 0, ranks: int = 1) -> Batch:
    """Samples with an example of every input and target; one of them has no label of the first task.

    Args:
        ground: name of one of `GROUNDS`.
        heads: as in `model`.
        rank: whose samples.
        ranks: among how many.
    """
    place, rng, made = GROUNDS[ground], np.random.default_rng(1), []
    tasks = {name: task_of(name, kind) for name, (_, kind) in _heads(ground, heads).items()}
    for index in range(SAMPLES):
        sample = {name: input_kind(spec).example(spec, rng) for name, spec in place.inputs.items()}
        targets = [target_of(task).example(sample, rng) for name, task in tasks.items() if index or name != "first"]
        for target in targets:
            sample = sample | target
        made.append(sample)
    return collate(made[rank * SAMPLES // ranks : (rank + 1) * SAMPLES // ranks], tasks, place.inputs)


def task_of(name: str, kind: str) -> Task:
    """A task of a kind, with classes where it needs some.

    Args:
        name: its name.
        kind: its kind.
    """
    plain = Task(name, kind)
    try:
        target_of(plain)
    except ValueError:
        return Task(name, kind, CLASSES)
    return plain


def total(losses: Mapping[str, Tensor], penalty: Tensor | None) -> Tensor:
    """What a plain step minimises.

    Args:
        losses: of the tasks that run.
        penalty: of the architecture.
    """
    summed = torch.stack(list(losses.values())).sum()
    return summed if penalty is None else summed + penalty


def gradients(made: MultiTaskModel) -> dict[str, Tensor | None]:
    """The gradient of every parameter that learns.

    Args:
        made: the model, after `backward`.
    """
    learning = {name: parameter for name, parameter in made.named_parameters() if parameter.requires_grad}
    return {name: None if p.grad is None else p.grad.clone() for name, p in learning.items()}


def gramian_of_losses(losses: Mapping[str, Tensor], shared: list[Tensor]) -> Tensor:
    """Inner products of K separate gradients.

    Args:
        losses: the losses.
        shared: the parameters.
    """
    rows = []
    for loss in losses.values():
        row = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if part is None else part for p, part in zip(shared, row, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return gramian_of_matrix(torch.stack(rows))


def _heads(ground: str, heads: Mapping[str, tuple[type[Head], str]]) -> dict[str, tuple[type[Head], str]]:
    return {**GROUNDS[ground].heads, **heads}


def in_turn(classes: Sequence[type[Architecture]], every: int, first: int = 0) -> Any:
    """Each `every`-th architecture as the argument `cls`; the others at night.

    Args:
        classes: the architectures.
        every: how many share one turn.
        first: whose turn it is; another one for each test, so that every architecture meets some.
    """
    cases = [
        pytest.param(cls, id=cls.__name__, marks=NIGHTLY if (index - first) % every else [])
        for index, cls in enumerate(classes)
    ]
    return pytest.mark.parametrize("cls", cases)


ARCHITECTURES = found(Architecture)  # type: ignore[type-abstract]
every_architecture = pytest.mark.parametrize("cls", ARCHITECTURES, ids=lambda cls: cls.__name__)
CASES = [
    pytest.param(cls, ground, id=f"{cls.__name__}-{ground}") for cls in ARCHITECTURES for ground in grounds_of(cls)
]
everywhere = pytest.mark.parametrize(("cls", "ground"), CASES)
# one ground each in turn; the others at night
somewhere = pytest.mark.parametrize(
    ("cls", "ground"),
    [
        pytest.param(cls, ground, id=f"{cls.__name__}-{ground}", marks=[] if turn == index % len(there) else NIGHTLY)
        for index, cls in enumerate(ARCHITECTURES)
        for there in [grounds_of(cls)]
        for turn, ground in enumerate(there)
    ],
)
