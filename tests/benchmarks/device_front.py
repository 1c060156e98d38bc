"""Accuracy against latency and bytes: the files that `export --benchmark` wrote for several runs, and their front.

Run: python tests/benchmarks/device_front.py runs/digits/quick runs/student/s0 runs/distill/s0 [--to front.png]
For each run first: python -m mtl export --run RUN --quantize int8 --benchmark
"""

import argparse
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from mtl.evaluation.hypervolume import non_dominated


@dataclass(frozen=True)
class Device:
    """One file of a run.

    Args:
        name: experiment, run and form.
        score: mean of the tasks' monitored metrics, as the run's `test/score`.
        ms: p50 of a call with one sample.
        size: bytes.
    """

    name: str
    score: float
    ms: float
    size: int


def files_of(run: Path) -> list[Device]:
    """What `export.json` says about the files of a run."""
    known = json.loads((run / "export/export.json").read_text("utf-8"))
    tasks = json.loads((run / "results.json").read_text("utf-8"))["meta"]["tasks"]
    made = []
    for form, file in known["files"].items():
        metrics = known["metrics"][form]
        score = statistics.fmean(metrics[f"{task}/{about['monitor']}"] for task, about in tasks.items())
        ms = known["latency"]["1"][form]["p50_ms"]
        made.append(Device(f"{run.parent.name}/{run.name} {form}", score, ms, file["bytes"]))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--to", type=Path, default=Path("front.png"))
    options = parser.parse_args()
    found = [device for run in options.runs for device in files_of(run)]
    front = non_dominated([(device.ms, device.size, -device.score) for device in found])
    table = Table("file", "score", "ms, batch 1", "bytes", "on the front")
    for device in sorted(found, key=lambda one: one.ms):
        on_it = (device.ms, device.size, -device.score) in front
        table.add_row(
            device.name, f"{device.score:.3f}", f"{device.ms:.2f}", f"{device.size:,}", "yes" if on_it else ""
        )
    Console().print(table)
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, word, place in zip(figure.subplots(1, 2), ("ms, batch 1", "kB"), (0, 1), strict=True):
        points = [((one.ms, one.size / 1000)[place], -one.score) for one in found]
        of_panel = non_dominated(points)
        panel.plot([x for x, _ in of_panel], [-y for _, y in of_panel], color="tab:orange", drawstyle="steps-post")
        for one, (x, y) in zip(found, points, strict=True):
            panel.plot(x, -y, "o", color="tab:orange" if (x, y) in of_panel else "tab:blue")
            panel.annotate(one.name, (x, -y), fontsize=7, xytext=(3, 3), textcoords="offset points")
        panel.set(xlabel=word, ylabel="mean of the tasks' metrics", xscale="log")
    figure.savefig(options.to, dpi=130)


if __name__ == "__main__":
    main()
