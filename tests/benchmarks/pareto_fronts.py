"""Pareto fronts of two conflicting tasks: sweeps of preferences beside paths between single-task networks.

Run: PYTHONPATH=. python tests/benchmarks/pareto_fronts.py [--seeds 3]     (a minute of one CPU thread)
Two tasks read different columns of a random row through a trunk that is too narrow for both. Five preferences each:
    weights        Fixed: a weighted sum of the losses
    STCH           smooth Tchebycheff scalarisation (raw values, mu 0.05)
    COSMOS         a weighted sum and a reward for losses along the preference, one network a preference
    interpolation  weights of the trunk between the two single-task networks, which start alike; each keeps its head
Hypervolume of the losses on held-back rows below (0.55, 0.55); a constant prediction has 0.5 in each.
"""

import argparse
import copy
import statistics
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from mtl.balancing.cosmos import COSMOS
from mtl.balancing.fixed import Fixed
from mtl.balancing.protocols import LossWeighting
from mtl.balancing.stch import STCH
from mtl.evaluation.tables.hypervolume import hypervolume, non_dominated
from mtl.model import MultiTaskModel
from tests.contract.kit.planted_share import TASKS, rows, untrained

PREFERENCES = ((0.95, 0.05), (0.75, 0.25), (0.5, 0.5), (0.25, 0.75), (0.05, 0.95))
STEPS, WIDTH, REFERENCE = 300, 6, (0.55, 0.55)
Point = tuple[float, ...]
METHODS: dict[str, Callable[[tuple[float, float]], LossWeighting]] = {
    "weights": Fixed,
    "STCH": lambda p: STCH(0.05, values="raw", preferences=p),
    "COSMOS": lambda p: COSMOS(1.0, preferences=p),
}


def train(method: LossWeighting, seed: int) -> MultiTaskModel:
    """A network that has minimised what a method makes of the losses."""
    model = untrained(seed=seed, width=WIDTH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, STEPS)
    for batch in rows(STEPS, 0, seed + 10):
        optimizer.zero_grad()
        losses = model.losses(model(batch), batch)
        method(torch.stack([losses[name] for name in TASKS])).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def measure(model: MultiTaskModel) -> Point:
    """Mean losses on held-back rows."""
    found = [model.losses(model(batch), batch) for batch in rows(8, 0, 99)]
    return tuple(statistics.fmean(float(losses[name]) for losses in found) for name in TASKS)


def between(first: MultiTaskModel, second: MultiTaskModel, share: float) -> MultiTaskModel:
    """A trunk between two networks, with each one's head of its own task."""
    made = copy.deepcopy(first)
    made.heads["b"].load_state_dict(second.heads["b"].state_dict())
    for own, other in zip(made.trunk.parameters(), second.trunk.parameters(), strict=True):
        own.data.lerp_(other.data, 1 - share)
    return made


def fronts(seed: int) -> dict[str, list[Point]]:
    """The points of every way to make a front."""
    found = {name: [measure(train(make(p), seed)) for p in PREFERENCES] for name, make in METHODS.items()}
    singles = [train(Fixed(weights), seed) for weights in ((1.0, 0.0), (0.0, 1.0))]
    found["interpolation"] = [measure(between(*singles, share)) for share, _ in PREFERENCES]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    torch.set_num_threads(1)
    runs = [fronts(seed) for seed in range(parser.parse_args().seeds)]
    table = Table("front", "hypervolume", "points on it", *(f"{a:g} : {b:g}" for a, b in PREFERENCES))
    for name in runs[0]:
        volumes = [hypervolume(run[name], REFERENCE) for run in runs]
        spread = statistics.stdev(volumes) if len(volumes) > 1 else 0.0
        on_it = statistics.fmean(len(non_dominated(run[name])) for run in runs)
        points = [", ".join(f"{x:.3f}" for x in point) for point in runs[0][name]]
        table.add_row(name, f"{statistics.fmean(volumes):.4f} ± {spread:.4f}", f"{on_it:.1f} of 5", *points)
    every = [hypervolume([p for name in METHODS for p in run[name]], REFERENCE) for run in runs]
    table.add_row("all sweeps", f"{statistics.fmean(every):.4f}", "", *[""] * len(PREFERENCES))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
