"""A problem with a planted share: two tasks read directions of a random row, and a known part of them is the same.

Each task reads `READ` of the `COLUMNS` columns through a function that no linear map gives.
"""

from functools import cache

import torch
from torch import Tensor

from mtl.affinity.sharing.sharing_measure import Inside
from mtl.backbones.table.mlp import TableMLP
from mtl.batch import Batch
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

COLUMNS, READ, BATCH = 20, 6, 256
TASKS = {name: Task(name, "regression") for name in ("a", "b")}
INPUTS = {"row": InputSpec("row", "table", COLUMNS)}


def rows(number: int, shared: int, seed: int) -> list[Batch]:
    """Batches of the problem.

    Args:
        number: how many.
        shared: how many of the directions that a task reads the other one reads as well.
        seed: of the rows.
    """
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(number):
        row_BD = torch.randn(BATCH, COLUMNS, generator=generator)
        own_b = row_BD[:, READ : 2 * READ - shared]
        made.append(
            {"row": row_BD, "a": _answer(row_BD[:, :READ]), "b": _answer(torch.cat((row_BD[:, :shared], own_b), 1))}
        )
    return made


def _answer(read_BR: Tensor) -> Tensor:
    return torch.sin(1.5 * read_BR).sum(1) / READ**0.5


def untrained(names: tuple[str, ...] = ("a", "b"), seed: int = 0, width: int = 64) -> MultiTaskModel:
    """A network with random weights.

    Args:
        names: its tasks.
        seed: of the weights.
        width: units of both hidden layers.
    """
    torch.manual_seed(seed)
    trunk = TableMLP(INPUTS, (width, width))
    heads = {name: RegressionHead(TASKS[name], trunk.spec, error="mse") for name in names}
    return MultiTaskModel(trunk, heads, {name: input_kind(spec)(spec) for name, spec in INPUTS.items()})


@cache
def trained(shared: int, names: tuple[str, ...] = ("a", "b"), seed: int = 0, steps: int = 300) -> MultiTaskModel:
    """A network that has learned the problem.

    Args:
        shared: as in `rows`.
        names: its tasks.
        seed: of the weights.
        steps: of training.
    """
    model = untrained(names, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for batch in rows(steps, shared, seed + 10):
        optimizer.zero_grad()
        torch.stack(list(model.losses(model(batch), batch).values())).sum().backward()
        optimizer.step()
        schedule.step()
    return model


def inside(shared: int, singles: bool = False, seed: int = 0, steps: int = 300) -> Inside:
    """What a measure of sharing may look at.

    Args:
        shared: as in `rows`.
        singles: whether networks of single tasks are there too.
        seed: of the weights.
        steps: of training.
    """
    alone = (
        {name: trained(shared, (name,), seed + place, steps) for place, name in enumerate(TASKS)} if singles else None
    )
    model = trained(shared, seed=seed, steps=steps)
    return Inside(TASKS, rows(4, shared, 99), model, alone, untrained(seed=7), {0: untrained(), steps: model})
