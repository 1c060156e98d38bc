"""A planted problem for affinity measures: which tasks have to do with each other is known."""

from typing import Any

import torch
from torch import Tensor, nn

from mtl.affinity.measure import Evidence
from mtl.backbones.backbone import Backbone
from mtl.batch import Batch
from mtl.features import Features, FeatureSpec
from mtl.heads.whole.regression import RegressionHead
from mtl.model import MultiTaskModel
from mtl.task import Task

# four regression tasks: a1 and a2 have the same target, b1 and b2 another one that has nothing to do with it
TASKS = {name: Task(name, "regression") for name in ("a1", "b1", "a2", "b2")}
SIDE = 4


class Linear(Backbone):
    """A few features of the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 16, SIDE)
        self.spec = FeatureSpec({"c3": 16}, {"c3": SIDE})

    def forward(self, image: Tensor) -> Features:
        return {"c3": self.layer(image)}


def planted(num_batches: int = 4, size: int = 32) -> list[Batch]:
    """Batches of the problem, always the same.

    Args:
        num_batches: how many.
        size: samples of each.
    """
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(num_batches):
        image = torch.rand(size, 3, SIDE, SIDE, generator=generator)
        first_B, second_B = (image[:, channel].mean((1, 2)) for channel in (0, 1))
        batch: Batch = {"image": image}
        for name in TASKS:
            batch[name] = 8 * ((first_B if name.startswith("a") else second_B) - 0.5)
        batches.append(batch)
    return batches


def model(names: Any = TASKS, seed: int = 0, steps: int = 40) -> MultiTaskModel:
    """Trained a little on the planted problem; tasks of a pair start from equal heads.

    Args:
        names: its tasks.
        seed: of the trunk.
        steps: of training.
    """
    torch.manual_seed(seed)
    backbone = Linear()
    heads = {}
    for name in names:
        torch.manual_seed(1 if name.startswith("a") else 2)
        heads[name] = RegressionHead(TASKS[name], backbone.spec, hidden=8)
    found = MultiTaskModel(backbone, heads)
    optimizer = torch.optim.SGD(found.parameters(), lr=0.02)
    for step in range(steps):
        batch = planted()[step % 4]
        optimizer.zero_grad()
        torch.stack(list(found.losses(found(batch["image"]), batch).values())).sum().backward()
        optimizer.step()
    return found.train()


def planted_evidence() -> Evidence:
    """A joint model, and single ones; those of one pair start alike, as runs with one seed do."""
    singles = {name: model([name], seed=0 if name.startswith("a") else 1) for name in TASKS}
    return Evidence(TASKS, planted(), model(), singles)
