"""The relative gain of joint training over single tasks, in every definition that papers use, and the mean rank.

The definitions disagree on the same numbers: on NYUv2 plain summing is 5.59 % worse than single tasks by `flat` and
0.88 % better by `per_task`. A report should say which one it means, or show them all.
Source: Maninis, Radosavovic, Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019, eq. 3 (one metric for
each task); the rest by the code that prints it, as said below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

# a number for each metric by `task/metric`, or an array of them
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A metric of a task.

    Args:
        task: name of the task.
        name: of the metric.
        higher_is_better: direction.
        monitored: whether the task is judged by it, where it is judged by one.
    """

    task: str
    name: str
    higher_is_better: bool = True
    monitored: bool = False

    @property
    def key(self) -> str:
        """`task/metric`."""
        return f"{self.task}/{self.name}"


def delta_m(values: Values, single: Values, metrics: Sequence[Metric]) -> float:
    """One metric for each task: the mean relative gain of the monitored metrics in percent, higher is better.

    Args:
        values: of the joint model.
        single: of the models trained on each task alone.
        metrics: all metrics.
    """
    return _mean([_gain(values, single, metric) for metric in metrics if metric.monitored])


def delta_m_per_task(values: Values, single: Values, metrics: Sequence[Metric]) -> float:
    """The mean over tasks of the mean gain over the task's metrics in percent, higher is better; LibMTL's.

    Args:
        values: of the joint model.
        single: of the models trained on each task alone.
        metrics: all metrics.
    """
    tasks = dict.fromkeys(metric.task for metric in metrics)
    return _mean([_mean([_gain(values, single, m) for m in metrics if m.task == task]) for task in tasks])


def delta_m_flat(values: Values, single: Values, metrics: Sequence[Metric]) -> float:
    """The mean relative loss over all metrics in percent, LOWER is better, as the nash-mtl family of papers defines it.

    A task counts as often as it has metrics: in NYUv2 the normals weigh 5 / 9.

    Args:
        values: of the joint model.
        single: of the models trained on each task alone.
        metrics: all metrics.
    """
    return -_mean([_gain(values, single, metric) for metric in metrics])


def mean_rank(rows: Sequence[Values], metrics: Sequence[Metric]) -> list[float]:
    """Mean over the metrics of each row's rank, 1 is best; equal values share their mean rank.

    It depends on which rows are compared.

    Args:
        rows: values of every method.
        metrics: all metrics.
    """
    ranks = [
        rankdata([-row[metric.key] if metric.higher_is_better else row[metric.key] for row in rows])
        for metric in metrics
    ]
    return [_mean([float(rank[index]) for rank in ranks]) for index in range(len(rows))]


def _gain(values: Values, single: Values, metric: Metric) -> float:
    base = single[metric.key]
    if not np.all(base):
        raise ValueError(
            f"the single-task model has {metric.key} = 0, so a relative gain over it has no meaning; train it longer, "
            "or leave the task out."
        )
    change = (values[metric.key] - base) / abs(base)
    gain: float = 100 * (change if metric.higher_is_better else -change)
    return gain


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
