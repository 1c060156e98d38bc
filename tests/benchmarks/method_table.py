"""Every balancing method on the same four tasks at the same budget, beside tuned fixed weights and single tasks.

Run: make methods ARGS="--jobs 2"
Every row is trained with every seed by `python -m mtl fit` in folders of its own; what is there already is not trained
again, so a table that was stopped goes on. Methods are found by looking and keep the defaults of their papers. Fixed
weights are searched like a learning rate: random ones, the best validation score of seed 0 wins, then all seeds.
Rows are in order of the score, the mean of the four metrics with an error e as 1 / (1 + e). Delta_m is the mean over
tasks of the relative change in the task's metric against the task trained alone with the same budget, in percent,
higher is better. Test scenes are looked at once, with the checkpoint of the best validation score.
"""

import argparse
import inspect
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

import mtl.balancing
from mtl.balancing.method import LossWeighting, Method
from mtl.callbacks.metrics_csv import read_series
from mtl.discovery import concrete_subclasses

CONFIG = "configs/digits_methods.yaml"
METRICS = {"boxes/map": 1, "largest/accuracy": 1, "count/mae": -1, "parity/accuracy": 1}  # and the better direction
NEEDED = {"Curriculum": {"steps": 250, "method": {"class_path": "ScaleInvariant"}}}  # arguments without a default
ADAPTERS = ("TorchJD", "Transformed", "Fixed")  # nothing of their own to measure, or measured apart
EXACT = ("MGDA", "NashMTL", "UPGrad")  # also with the gradients of the parameters
COMPOSED = {"log+MGDA": ("ScaleInvariant", "MGDA"), "Uncertainty+PCGrad": ("Uncertainty", "PCGrad")}
assert mtl.balancing  # importing the package imports every method

Overlay = dict[str, Any]  # what is laid over the config


def rows() -> Iterator[tuple[str, Overlay]]:
    """Name and overlay of every row but the fixed weights."""
    tasks = [metric.split("/")[0] for metric in METRICS]
    for task in tasks:
        yield f"{task}-alone", {"model": {"heads": {other: None for other in tasks if other != task}}}
    for cls in concrete_subclasses(Method):
        name = cls.__name__
        if not cls.__module__.startswith("mtl.") or name.startswith(ADAPTERS):
            continue
        required = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
        if required and name not in NEEDED:
            raise ValueError(f"{name} needs {', '.join(map(str, required))}; give them in NEEDED.")
        at = "features" if issubclass(cls, LossWeighting) or "features" in cls.at else "parameters"
        shown = name if at == "features" else f"{name}-exact"
        yield shown, balanced({"class_path": name, "init_args": NEEDED.get(name, {})}, at)
        if name in EXACT:
            yield f"{name}-exact", balanced({"class_path": name}, "parameters")
    for shown, (transform, method) in COMPOSED.items():
        parts = {"transform": {"class_path": transform}, "method": {"class_path": method}}
        yield shown, balanced({"class_path": "TransformedWeighting", "init_args": parts})


def balanced(method: dict[str, Any], at: str = "features") -> Overlay:
    callback = {"class_path": "LossBalancing", "init_args": {"method": method, "at": at}}
    return {"trainer": {"callbacks+": [callback]}}


def candidates(number: int) -> list[Overlay]:
    """Random fixed weights relative to the boxes', each log-uniform in 0.1..10; the first are all 1."""
    draw = random.Random(0)
    found: list[Overlay] = [{}]
    for _ in range(number - 1):
        weights = {metric.split("/")[0]: round(10 ** draw.uniform(-1, 1), 2) for metric in list(METRICS)[1:]}
        found.append({"model": {"loss_weights": weights}})
    return found


class Runs:
    """Trains what is not there yet.

    Args:
        root: folder of all rows.
        jobs: processes at once, each on one thread.
    """

    def __init__(self, root: Path, jobs: int) -> None:
        self.root, self.jobs = root, jobs
        self.console = Console(stderr=True)

    def train(self, wanted: list[tuple[str, Overlay, str, int]]) -> None:
        """Train (row, overlay, name of the run, seed), several at once."""
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(lambda run: self._train(*run), wanted))

    def _train(self, row: str, overlay: Overlay, name: str, seed: int) -> None:
        folder = self.root / row / name
        if (folder / "results.json").is_file():
            return
        shutil.rmtree(folder, ignore_errors=True)
        file = self.root / "overlays" / f"{row} {name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(overlay), "utf-8")
        command = [
            sys.executable, "-m", "mtl", "fit", "--config", CONFIG, "--config", str(file),
            "--seed_everything", str(seed), "--data.seed", str(seed), "--runs_root", str(self.root),
            "--experiment", row, "--name", name, "--tracking.wandb", "off",
        ]  # fmt: skip
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        self.console.print(f"{row} {name}: {'done' if done.returncode == 0 else done.stderr[-2000:]}", highlight=False)

    def results(self, row: str) -> list[dict[str, Any]]:
        return [json.loads(file.read_text("utf-8")) for file in sorted((self.root / row).glob("seed*/results.json"))]

    def validation(self, row: str, name: str) -> float:
        """Best validation score of a run; what a search may look at."""
        return max(read_series(self.root / row / name / "metrics.csv")["val/score"][1])


def table(runs: Runs, names: list[str]) -> str:
    """A Markdown table, the best mean score first, single tasks last."""
    alone = {m: mean([r[f"test/{m}"] for r in runs.results(f"{m.split('/')[0]}-alone")]) for m in METRICS}
    lines = []
    for name in names:
        found = runs.results(name)
        if not found:
            continue
        gains = [delta_m(result, alone) for result in found if all(f"test/{m}" in result for m in METRICS)]
        cells = [cell([r[f"test/{m}"] for r in found if f"test/{m}" in r]) for m in METRICS]
        scores = [r["test/score"] for r in found] if gains else []
        lines.append((mean(scores), [name, str(len(found)), cell(scores), *cells, cell(gains, "{:+.1f}")]))
    lines.sort(key=lambda line: math.inf if math.isnan(line[0]) else -line[0])
    head = ["method", "runs", "score", *METRICS, "Delta_m, %"]
    texts = [head, ["---", *["---:"] * (len(head) - 1)], *(cells for _, cells in lines)]
    return "\n".join(f"| {' | '.join(text)} |" for text in texts)


def delta_m(result: dict[str, Any], alone: dict[str, float]) -> float:
    changes = [sign * (result[f"test/{m}"] - alone[m]) / alone[m] for m, sign in METRICS.items()]
    return 100 * statistics.fmean(changes)


def mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def cell(values: list[float], form: str = "{:.3f}") -> str:
    if not values:
        return ""
    spread = f" ± {form.format(statistics.stdev(values)).lstrip('+')}" if len(values) > 1 else ""
    return form.format(mean(values)) + spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("runs/methods"), help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one thread")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--search", type=int, default=12, help="fixed weights to try")
    options = parser.parse_args()
    runs = Runs(options.root, options.jobs)
    tried = candidates(options.search)
    runs.train([("search", overlay, f"try{index}", 0) for index, overlay in enumerate(tried)])
    best = max(range(len(tried)), key=lambda index: runs.validation("search", f"try{index}"))
    weights = tried[best].get("model", {}).get("loss_weights", {})
    wanted = [("Fixed-tuned", tried[best]), *rows()]
    # seed by seed: a table that is stopped has all rows
    runs.train([(row, overlay, f"seed{seed}", seed) for seed in range(options.seeds) for row, overlay in wanted])
    console = Console()
    console.print(table(runs, [row for row, _ in wanted]), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\ntuned fixed weights: {weights or 'all 1'}, boxes 1", highlight=False)


if __name__ == "__main__":
    main()
