"""The report of a trained model on the test rows of a table: baselines with intervals, and results by subgroup.

Shapes: N test rows, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.batch import Batch, collate
from mtl.data.table.module import INPUT, TableDataModule, TableSet
from mtl.evaluation.tables.resampling import RESAMPLES, draw_weights, percentiles, statistic_of
from mtl.evaluation.tables.table_baselines import fit_baselines, known_rows
from mtl.heads.head import Head
from mtl.metrics.task_metrics import Predictions
from mtl.model import MultiTaskModel
from mtl.task import Task

NETWORK = "network"
LEAST_ROWS = 10  # of a subgroup that gets a number
_DECISIONS = ("accuracy", "balanced_accuracy")  # of thresholds, which validation chooses for the network alone


@dataclass(frozen=True)
class Line:
    """One number of a report.

    Args:
        task: name of the task.
        metric: name of the metric.
        who: the model, or `<column> = <value>` of a subgroup.
        rows: labelled test rows.
        positive: rows of the positive class; -1 where there is no such class.
        value: the metric; NaN where it has none.
        low: lower end of its interval.
        high: upper end.
        difference: interval of the network's value minus this one, on the same resamples; None for the network.
    """

    task: str
    metric: str
    who: str
    rows: int
    positive: int
    value: float
    low: float
    high: float
    difference: tuple[float, float] | None = None


@dataclass(frozen=True)
class Answers:
    """The predictions of some models for the labelled test rows of one task.

    Args:
        task: the task.
        metrics: the metric that its head is judged by, then the others of its test that are known here.
        targets_N: its labels.
        index_N: which test rows they are.
        by_model: predictions by the name of the model, the network first.
    """

    task: Task
    metrics: tuple[str, ...]
    targets_N: Tensor
    index_N: Tensor
    by_model: Mapping[str, Predictions]

    @property
    def is_binary(self) -> bool:
        """Whether there is a positive class with a probability."""
        return self.task.num_classes == 2 and "probabilities" in self.by_model[NETWORK]

    @property
    def positive(self) -> int:
        """How many rows are of the positive class; -1 without such a class."""
        return int((self.targets_N == 1).sum()) if self.is_binary else -1


def answers(model: MultiTaskModel, data: TableDataModule, boosting: bool = True) -> list[Answers]:
    """Predictions of the network and of baselines for every task that has test labels and a metric known here.

    Args:
        model: the trained model, on the CPU or on a device.
        data: its data, after `setup` for training and test.
        boosting: fit gradient boosting too.
    """
    device = next(model.parameters()).device
    train, test = (whole_split(data, split) for split in ("train", "test"))
    columns = {key: model.inputs[INPUT]({INPUT: batch[INPUT].to(device)})[INPUT].cpu() for key, batch in
               (("train", train), ("test", test))}  # fmt: skip
    was_training = model.training
    predictions = model.eval().predict({INPUT: test[INPUT].to(device)})
    model.train(was_training)
    found = []
    for name in model.heads:
        head = model.head(name)
        at_train, at = known_rows(head.task, train), known_rows(head.task, test)
        if statistic_of(head.monitor[0]) is None or not len(at):
            continue
        own = {key: value.cpu()[at] for key, value in predictions[name].items()}
        fitted = fit_baselines(
            head.task,
            (columns["train"][at_train], train[INPUT][at_train], train[name][at_train]),
            (columns["test"][at], test[INPUT][at]),
            boosting,
        )
        metrics = _metrics(head, own, test[name][at])
        found.append(Answers(head.task, metrics, test[name][at], at, {NETWORK: own, **fitted}))
    return found


def _metrics(head: Head, predictions: Predictions, targets_N: Tensor) -> tuple[str, ...]:
    logged = head.metrics()
    logged.update(predictions, {head.task.name: targets_N})
    others = [name for name in logged.compute() if name not in _DECISIONS and statistic_of(name) is not None]
    return tuple(dict.fromkeys((head.monitor[0], *others)))


def whole_split(data: TableDataModule, split: str) -> Batch:
    """All rows of a split as one batch.

    Args:
        data: the data, after `setup`.
        split: `train`, `val` or `test`.
    """
    rows: TableSet = getattr(data, f"{split}_set")
    return collate([rows[index] for index in range(len(rows))], data.tasks, data.inputs)


def compare(found: Sequence[Answers], units: Sequence[str] | None = None, resamples: int = RESAMPLES) -> list[Line]:
    """The metric of every model, with an interval, and of its difference to the network's.

    Args:
        found: what `answers` gives.
        units: unit of each test row, such as the patient, which is resampled as a whole; each row by default.
        resamples: R.
    """
    lines = []
    for each in found:
        weights_RN = draw_weights(_units(each, units), resamples)
        rows = len(each.targets_N)
        for metric in each.metrics:
            values_R = {}
            for who, predictions in each.by_model.items():
                values_R[who] = _under(metric, predictions, each.targets_N, weights_RN)
                value = _value(metric, predictions, each.targets_N)
                gap = None if who == NETWORK else percentiles(values_R[NETWORK] - values_R[who])
                low, high = percentiles(values_R[who])
                lines.append(Line(each.task.name, metric, who, rows, each.positive, value, low, high, gap))
    return lines


def by_subgroup(
    found: Sequence[Answers],
    subgroups: Mapping[str, Sequence[str]],
    units: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> list[Line]:
    """The network's metric in every subgroup; small ones have their number of rows and no value.

    Args:
        found: what `answers` gives.
        subgroups: for each column the subgroup of every test row, "" where unknown.
        units: as for `compare`.
        resamples: R.
    """
    lines = []
    for each in found:
        for column, names in subgroups.items():
            own = [names[index] for index in each.index_N.tolist()]
            for name in sorted(set(own) - {""}):
                at = torch.tensor([index for index, other in enumerate(own) if other == name])
                part = Answers(
                    each.task,
                    each.metrics,
                    each.targets_N[at],
                    each.index_N[at],
                    {NETWORK: {key: value[at] for key, value in each.by_model[NETWORK].items()}},
                )
                lines += _subgroup(part, f"{column} = {name}", units, resamples)
    return lines


def _subgroup(part: Answers, who: str, units: Sequence[str] | None, resamples: int) -> list[Line]:
    predictions, rows = part.by_model[NETWORK], len(part.targets_N)
    nothing = float("nan")
    if rows < LEAST_ROWS:
        return [Line(part.task.name, m, who, rows, part.positive, nothing, nothing, nothing) for m in part.metrics]
    weights_RN = draw_weights(_units(part, units), resamples)
    lines = []
    for metric in part.metrics:
        value = _value(metric, predictions, part.targets_N)
        low, high = percentiles(_under(metric, predictions, part.targets_N, weights_RN))
        lines.append(Line(part.task.name, metric, who, rows, part.positive, value, low, high))
    return lines


def _under(metric: str, predictions: Predictions, targets_N: Tensor, weights_RN: Tensor) -> Tensor:
    statistic = statistic_of(metric)
    assert statistic is not None
    return statistic(predictions, targets_N, weights_RN)


def _value(metric: str, predictions: Predictions, targets_N: Tensor) -> float:
    return float(_under(metric, predictions, targets_N, torch.ones(1, len(targets_N), dtype=torch.float64))[0])


def _units(each: Answers, units: Sequence[str] | None) -> list[str]:
    # a row whose unit is not known is a unit of its own
    return [(units[index] if units else "") or f"row {index}" for index in each.index_N.tolist()]
