"""`PartSummary`: prints the parts of the model when training starts."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelSummary
from rich import box, get_console
from rich.table import Table
from torch import Tensor

from mtl.architectures.parts.cost import count_flops
from mtl.batch import Batch
from mtl.callbacks.model_parts import model_of, parts
from mtl.distributed.dtensor import is_sharded
from mtl.model import MultiTaskModel


@dataclass(frozen=True)
class Part:
    """One row of the summary.

    Args:
        name: `trunk`, or the head's task.
        kind: its class.
        num_parameters: all parameters.
        num_trainable: those that are trained.
        outputs: shape of each output without the batch, by name.
        forward_ms: time of its forward pass for one sample, when measured.
        flops: floating point operations of its forward pass for one sample, when measured.
    """

    name: str
    kind: str
    num_parameters: int
    num_trainable: int
    outputs: dict[str, tuple[int, ...]]
    forward_ms: float | None = None
    flops: float | None = None


class PartSummary(ModelSummary):
    """Prints parameters, operations, output shapes and forward time of the trunk and of each head.

    What an architecture gives to one task counts with its head; the trunk is what the tasks share.

    Args:
        measure: run two samples of the first batch through the parts, for shapes and times (milliseconds of work).
    """

    def __init__(self, measure: bool = True) -> None:
        # a Lightning summary by type, so that the trainer adds no second one
        super().__init__()
        self.measure = measure

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.measure and trainer.is_global_zero:
            get_console().print(table(summarise(model_of(pl_module))))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not self.measure or batch_idx or trainer.current_epoch or not trainer.is_global_zero:
            return
        few = None
        there = isinstance(batch, dict) and all(name in batch for name in model_of(pl_module).inputs)
        # of shards, a forward pass of one rank alone would wait for the others
        if there and not is_sharded(pl_module.parameters()):
            few = {key: value[:2] for key, value in batch.items() if isinstance(value, Tensor)}
        get_console().print(table(summarise(model_of(pl_module), few)))


def summarise(model: MultiTaskModel, batch: Batch | None = None) -> list[Part]:
    """Every part of the model with its sizes.

    Args:
        model: the model; its mode and statistics stay as they are.
        batch: a small batch to measure with.
    """
    outputs, times_ms, flops = _measure(model, batch) if batch is not None else ({}, {}, {})
    rows, own = [], model.partition().own
    of_tasks = {id(parameter) for parameters in own.values() for parameter in parameters}
    for name, part in parts(model).items():
        parameters = own.get(name, [p for p in part.parameters() if id(p) not in of_tasks])
        rows.append(
            Part(
                name,
                type(part).__name__.removeprefix("FSDP"),  # which sharding puts in front
                sum(parameter.numel() for parameter in parameters),
                sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
                {key: tuple(value.shape[1:]) for key, value in outputs.get(name, {}).items()},
                times_ms.get(name),
                flops.get(name),
            )
        )
    return rows


def table(rows: list[Part]) -> Table:
    """The summary as a table for a terminal.

    Args:
        rows: what `summarise` returned.
    """
    total = sum(row.num_parameters for row in rows)
    operations = sum(row.flops or 0 for row in rows) / 1e6
    measured = any(row.forward_ms is not None for row in rows)
    caption = "ms: forward pass of one sample" if measured else None
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, caption=caption, caption_justify="left")
    for column in ("part", "class"):
        shown.add_column(column)
    for column in ("parameters", "share"):
        shown.add_column(column, justify="right")
    if measured:
        shown.add_column("MFLOP", justify="right")
        shown.add_column("ms", justify="right")
        shown.add_column("outputs")
    for row in rows:
        frozen = row.num_parameters - row.num_trainable
        cells = [
            row.name,
            row.kind,
            f"{row.num_parameters:,}" + (f" ({frozen:,} frozen)" if frozen else ""),
            f"{row.num_parameters / max(1, total):.0%}",
        ]
        if measured:
            shapes = "\n".join(f"{key} {'x'.join(map(str, shape))}" for key, shape in row.outputs.items())
            cells += [_number(row.flops and row.flops / 1e6, ".3g"), _number(row.forward_ms, ".2f"), shapes]
        shown.add_row(*cells)
    shown.add_section()
    shown.add_row("total", "", f"{total:,}", "", *([f"{operations:.3g}"] if measured else []))
    return shown


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@torch.no_grad()
def _measure(
    model: MultiTaskModel, batch: Batch
) -> tuple[dict[str, dict[str, Tensor]], dict[str, float], dict[str, float]]:
    training = {module: module.training for module in model.modules()}
    outputs: dict[str, dict[str, Tensor]] = {}
    times_ms: dict[str, float] = {}
    flops: dict[str, float] = {}

    some = batch[next(iter(model.inputs))]

    def timed(name: str, run: Any, *arguments: Any) -> Any:
        _wait(some)
        start = time.perf_counter()
        outputs[name] = run(*arguments)
        _wait(some)
        times_ms[name] = 1000 * (time.perf_counter() - start) / len(some)
        return outputs[name]

    try:
        # batch-norm statistics and random numbers of training are not touched
        model.eval()
        for _ in range(2):  # the first pass warms up
            cut = timed("trunk", model.cut, batch)
            for name in model.heads:
                timed(name, model.outputs, name, cut)
        flops = {name: count_flops(partial(model.outputs, name, cut)) / len(some) for name in model.heads}
        flops["trunk"] = count_flops(partial(model.cut, batch)) / len(some)
    finally:
        for module, mode in training.items():
            module.training = mode
    return outputs, times_ms, flops


def _wait(some: Tensor) -> None:
    if some.is_cuda:
        torch.cuda.synchronize(some.device)
