"""Fronts of a comparison: what a family of rows, such as one method with several preferences, offers together."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mtl.errors import did_you_mean
from mtl.evaluation.tables.hypervolume import hypervolume, non_dominated
from mtl.evaluation.tables.report import Report, Row

_EDGE = 1.1  # of the box: the worst row of a task still adds what it gains in the others


@dataclass(frozen=True)
class Front:
    """The front of some rows.

    Args:
        name: how their names begin.
        rows: the rows.
        on_it: rows of which no other row of the family is better in every task, by their means over seeds.
        volumes: hypervolume of each seed, as a share of the box of all rows.
    """

    name: str
    rows: Sequence[str]
    on_it: Sequence[str]
    volumes: Sequence[float]


def fronts(report: Report, families: Sequence[str]) -> list[Front]:
    """The front of each family, and of all rows of the families together.

    Hypervolumes need one box: from the best value of each task over all these rows and seeds to a tenth beyond the
    worst. They compare the families of one call, and no numbers of two calls.

    Args:
        report: of the comparison; every task counts by the metric that it is judged by.
        families: beginnings of names of rows.

    Raises:
        ValueError: if no row begins so.
    """
    names = [row.name for row in report.joint]
    of: dict[str, list[Row]] = {}
    for family in families:
        of[family] = [row for row in report.joint if row.name.startswith(family)]
        if not of[family]:
            raise ValueError(
                f"no row begins with {family!r}.{did_you_mean(family, names)} There are {', '.join(names)}."
            )
    shown = list({row.name: row for rows in of.values() for row in rows}.values())
    if len(of) > 1:
        of["all of these"] = shown
    metrics = [metric for metric in report.metrics if metric.monitored]
    signs = [-1 if metric.higher_is_better else 1 for metric in metrics]
    seeds = [seed for seed in shown[0].results if all(seed in row.results for row in shown)]
    if not seeds:
        raise ValueError("these rows have no seed in common, so that there is no front of one seed.")
    points = {
        (row.name, seed): [
            sign * row.results[seed][f"test/{metric.key}"] for sign, metric in zip(signs, metrics, strict=True)
        ]
        for row in shown
        for seed in seeds
    }
    low, high = ([pick(values) for values in zip(*points.values(), strict=True)] for pick in (min, max))
    # values that are all equal divide nothing
    span = [(top - bottom) or 1.0 for bottom, top in zip(low, high, strict=True)]
    scaled = {
        key: tuple((value - bottom) / wide for value, bottom, wide in zip(point, low, span, strict=True))
        for key, point in points.items()
    }
    found = []
    for family, rows in of.items():
        corner, box = [_EDGE] * len(metrics), _EDGE ** len(metrics)
        volumes = [hypervolume([scaled[row.name, seed] for row in rows], corner) / box for seed in seeds]
        means = {
            row.name: tuple(
                statistics.fmean(column) for column in zip(*(scaled[row.name, s] for s in seeds), strict=True)
            )
            for row in rows
        }
        best = set(non_dominated(list(means.values())))
        found.append(Front(family, list(means), [name for name, mean in means.items() if mean in best], volumes))
    return found


def table_of_fronts(found: Sequence[Front]) -> str:
    """A markdown table of fronts.

    Args:
        found: what `fronts` gives.
    """
    lines = ["| rows | on the front | hypervolume |", "| --- | --- | ---: |"]
    for front in found:
        spread = f" ± {statistics.stdev(front.volumes):.3f}" if len(front.volumes) > 1 else ""
        volume = f"{statistics.fmean(front.volumes):.3f}{spread}"
        lines.append(f"| {front.name} ({len(front.rows)}) | {', '.join(front.on_it)} | {volume} |")
    return "\n".join(lines)
