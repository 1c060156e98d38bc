"""Which of the fixed weights that a comparison tried are the best."""

import math
from collections.abc import Sequence

from mtl.evaluation.tables.delta_m import Metric, delta_m
from mtl.evaluation.tables.report import read_results
from mtl.experiments.queued_run import QueuedRun
from mtl.runs.metrics_csv import read_series


def best_try(tries: Sequence[QueuedRun]) -> int | None:
    """The try with the largest mean relative gain of the tasks over the first try, on the validation set.

    The score of a run adds metrics as they are, so that a task whose metric is an error in degrees or centimetres would
    hardly count. It decides where a gain has no meaning: where the first try has 0 of a metric.

    Args:
        tries: the runs; the first that is done has all weights 1, or comes nearest to it.

    Returns:
        Its number, None without any that is done.
    """
    scores: dict[int, float] = {}
    values: dict[int, dict[str, float]] = {}
    metrics: list[Metric] = []
    for number, run in enumerate(tries):
        if not run.is_done:
            continue
        judged = read_results(run.path / "results.json")["meta"]["tasks"]
        metrics = metrics or [
            Metric(task, by["monitor"], by["monitor"] not in by["lower_is_better"], True) for task, by in judged.items()
        ]
        series = read_series(run.path / "metrics.csv")
        if "val/score" not in series:
            continue
        steps, found = series["val/score"]
        scores[number] = max(found)
        values[number] = _at(series, metrics, steps[found.index(scores[number])])
    if not scores:
        return None
    first = values[min(values)]
    if all(first.get(metric.key) for metric in metrics) and all(len(own) == len(metrics) for own in values.values()):
        gains = {number: delta_m(own, first, metrics) for number, own in values.items()}
        if all(map(math.isfinite, gains.values())):
            scores = gains
    return max(scores, key=lambda number: scores[number])


def _at(series: dict[str, tuple[list[int], list[float]]], metrics: Sequence[Metric], step: int) -> dict[str, float]:
    """The validation metrics of one step, those that it has."""
    found = {}
    for metric in metrics:
        steps, values = series.get(f"val/{metric.key}", ([], []))
        if step in steps:
            found[metric.key] = values[steps.index(step)]
    return found
