"""How long the Gramian methods take for one set of weights, on one CPU thread (or on a GPU).

Run: python tests/benchmarks/solvers.py [--device cuda]
Medians over random Gramians: weakly correlated gradients, and strongly conflicting ones. The goal is under 1 ms up to
16 tasks and under 10 ms for 40. On a CPU the time is that of the thread; neighbours on its cores slow it all the same.
"""

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import mtl.balancing
from mtl.balancing.protocols import GradientWeighting
from mtl.discovery import concrete_subclasses

TASKS = (2, 4, 8, 16, 40)
LIMITS_MS = {2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 40: 10.0}


def gramians(num_tasks: int, number: int, device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(num_tasks)
    found = []
    for index in range(number):
        rows_KP = torch.randn(num_tasks, 3 * num_tasks + 10, generator=generator)
        if index % 2:  # nearly all of the mean is taken out: every task conflicts with the others
            rows_KP = rows_KP - 0.9 * rows_KP.mean(0)
        rows_KP = rows_KP * 10 ** torch.randn(num_tasks, 1, generator=generator)
        found.append((rows_KP @ rows_KP.T).to(device))
    return found


def time_ms(method: GradientWeighting, gramian: Tensor) -> float:
    losses = torch.ones_like(gramian[0])
    if gramian.is_cuda:
        torch.cuda.synchronize()
        start = time.perf_counter()
        method(gramian, losses)
        torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - start)
    start = time.thread_time()
    method(gramian, losses)
    return 1000 * (time.thread_time() - start)


def measure(rounds: int, device: str) -> Table:
    table = Table("method", *(f"K={num_tasks}, ms" for num_tasks in TASKS))
    for cls in concrete_subclasses(GradientWeighting):  # type: ignore[type-abstract]
        if not cls.__module__.startswith(mtl.balancing.__name__):
            continue
        cells = []
        for num_tasks in TASKS:
            try:
                method = cls.example(num_tasks).to(device)
            except ImportError:
                cells.append("not installed")
                continue
            problems = gramians(num_tasks, rounds + 2, device)
            taken = [time_ms(method, gramian) for gramian in problems][2:]  # the first two warm up
            median = statistics.median(taken)
            colour = "green" if median <= LIMITS_MS[num_tasks] else "red"
            cells.append(f"[{colour}]{median:.2f}[/] (max {max(taken):.2f})")
        table.add_row(cls.__name__, *cells)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="timed Gramians of each size")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    Console(width=140).print(measure(options.rounds, options.device))
