"""Findings as files: `<Measure>.csv` and `<Measure>.png`, one panel for each pair of tasks."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from mtl.affinity.sharing.sharing_measure import Finding, SharingMeasure
from mtl.drawing.figure_file import panels, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 12
_DASHES = ("--", ":", "-.")
Pair = tuple[str, str]


def write_findings(found: Mapping[type[SharingMeasure], Sequence[Finding]], folder: Path) -> list[Path]:
    """Write a CSV and a picture for each measure.

    Args:
        found: the findings of each measure.
        folder: where to; made if it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for measure, findings in found.items():
        files.append(folder / f"{measure.__name__}.csv")
        _write_csv(findings, files[-1])
        picture = folder / f"{measure.__name__}.png"
        if findings and _draw(measure, findings, picture):
            files.append(picture)
    return files


def _write_csv(findings: Sequence[Finding], path: Path) -> None:
    baselines = list(dict.fromkeys(name for finding in findings for name in finding.baselines))
    steps = any(finding.step is not None for finding in findings)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["level", *(["step"] if steps else []), "from", "to", "value", *baselines])
        for one in findings:
            numbers = [one.value, *(one.baselines.get(name, float("nan")) for name in baselines)]
            place = [one.level, *([one.step] if steps else []), one.source, one.target]
            writer.writerow([*place, *(f"{number:.6g}" for number in numbers)])


def _draw(measure: type[SharingMeasure], findings: Sequence[Finding], path: Path) -> bool:
    pairs: list[Pair] = list(dict.fromkeys((one.source, one.target) for one in findings))
    shown = pairs[:MOST_PANELS]
    levels = len({one.level for one in findings})
    high = max(2.8, 0.16 * levels + 1.2) if findings[0].step is not None else 2.8
    figure, axes = panels(len(shown), 3, 4.4, high, above=0.9)
    for panel, pair in zip(axes, shown, strict=True):
        own = [one for one in findings if (one.source, one.target) == pair]
        panel.set_title(f"{pair[0]} {'and' if measure.symmetric else 'to'} {pair[1]}", fontsize=9)
        (_heat_map if own[0].step is not None else _lines)(panel, measure, own)
    more = f" {len(pairs) - MOST_PANELS} more pairs are in the CSV." if len(pairs) > MOST_PANELS else ""
    lines = wrap(measure.blind + more, 42 * min(3, len(shown)))
    figure.suptitle("\n".join([measure.__name__, *lines]), fontsize=8)
    return save_figure(figure, path)


def _lines(panel: "Axes", measure: type[SharingMeasure], own: Sequence[Finding]) -> None:
    places = range(len(own))
    for dash, name in zip(_DASHES * 2, own[0].baselines, strict=False):
        values = [one.baselines.get(name, float("nan")) for one in own]
        panel.plot(places, values, dash, color="0.5", linewidth=1.2, label=name)
    panel.plot(places, [one.value for one in own], marker="o", markersize=4, linewidth=1.8, label="value")
    panel.set_xticks(places, [one.level for one in own], fontsize=7, rotation=25, ha="right")
    panel.tick_params(axis="y", labelsize=7)
    low, high = measure.limits
    # what lies far out would press all others flat
    shown = [value for one in own for value in (one.value, *one.baselines.values()) if low - 1 <= value <= high + 1]
    panel.set_ylim(min([low, *shown]) - 0.05, max([high, *shown]) + 0.05)
    panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=6, frameon=False)


def _heat_map(panel: "Axes", measure: type[SharingMeasure], own: Sequence[Finding]) -> None:
    layers = list(dict.fromkeys(one.level for one in own))
    steps = sorted({one.step for one in own if one.step is not None})
    values = {(one.level, one.step): one.value for one in own}
    grid = [[values.get((layer, step), float("nan")) for step in steps] for layer in layers]
    low, high = measure.limits
    picture = panel.imshow(grid, vmin=low, vmax=high, cmap="RdBu", aspect="auto")
    panel.set_xticks(range(len(steps)), [str(step) for step in steps], fontsize=7)
    panel.set_yticks(range(len(layers)), layers, fontsize=6)
    panel.set_xlabel("step", fontsize=7)
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            dark = abs(2 * value - low - high) > 0.6 * (high - low)  # both ends of the colours
            ink = "white" if dark else "black"
            panel.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=ink)
    bar = panel.figure.colorbar(picture, ax=panel, fraction=0.05)
    bar.ax.tick_params(labelsize=6)
