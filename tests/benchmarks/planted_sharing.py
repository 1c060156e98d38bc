"""Two planted problems: one where sharing a trunk must fail, one where it must help. Which architecture does what?

Run: PYTHONPATH=. python tests/benchmarks/planted_sharing.py --seeds 3

contradict: six tasks y_k = |a_k . x| with orthogonal a_k and plenty of labels, and a trunk whose last layer has three
units. Three numbers carry three of the six functions, so a trunk that all share leaves half of the variance
unexplained, whatever balances it; each task alone learns its function.
few: four tasks y_k = c_k . z with the same hidden z = |W x|, three of them with 1,000 labels, the first with `FEW`.
Alone it has too little to find W; the others know it.

Every architecture gets the same trunk, rows, steps and learning rate, with its defaults; only trunks that are frozen by
default learn. The number is the share of the variance of the test that is left unexplained, 0 best: in `contradict`
the mean over tasks, in `few` of the first task. Intervals are of the mean over seeds (Student, 95 %); a seed
draws the problem, the rows and the weights. The gain is single minus joint on the same seed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import mtl.architectures
from mtl.architectures.architecture import Architecture
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.cost import count_flops
from mtl.backbones.table.mlp import TableMLP
from mtl.batch import Batch
from mtl.discovery import concrete_subclasses
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

assert mtl.architectures  # importing the package imports every architecture

INPUTS = 8
FEW = 24
TRAIN, TEST, BATCH = 1000, 1000, 100
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}  # by seeds


@dataclass(frozen=True)
class Problem:
    """Rows of one seed.

    Attributes:
        widths: of the trunk.
        batch: rows to learn from and rows to measure on, in this order.
        names: of all tasks.
        measured: tasks whose error counts.
    """

    widths: tuple[int, ...]
    batch: Batch
    names: str
    measured: str


def contradict(seed: int) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(TRAIN + TEST, INPUTS, generator=generator)
    axes, _ = torch.linalg.qr(torch.randn(INPUTS, INPUTS, generator=generator))
    return Problem((32, 3), _batch(x, (x @ axes[:, :6]).abs()), "abcdef", "abcdef")


def few(seed: int) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(TRAIN + TEST, INPUTS, generator=generator)
    axes, _ = torch.linalg.qr(torch.randn(INPUTS, INPUTS, generator=generator))
    mixed = torch.randn(3, 4, generator=generator)
    batch = _batch(x, (x @ axes[:, :3]).abs() @ mixed)
    batch["labelled/a"][FEW:TRAIN] = False
    return Problem((32, 8), batch, "abcd", "a")


def _batch(x: Tensor, targets: Tensor) -> Batch:
    standard = (targets - targets.mean(0)) / targets.std(0)
    batch: Batch = {"row": x}
    for name, target in zip("abcdef", standard.T, strict=False):
        batch |= {name: target, f"labelled/{name}": torch.ones(len(x), dtype=torch.bool)}
    return batch


PROBLEMS: dict[str, Callable[[int], Problem]] = {"contradict": contradict, "few": few}


def build(problem: Problem, make: Callable[..., Architecture], names: Sequence[str]) -> MultiTaskModel:
    inputs = {"row": InputSpec("row", "table", INPUTS)}
    trunk = make(TableMLP(inputs, problem.widths), list(names)).requires_grad_(True)
    heads = {name: RegressionHead(Task(name, "regression"), trunk.spec, error="mse") for name in names}
    return MultiTaskModel(trunk, heads, {"row": input_kind(inputs["row"])(inputs["row"])})


def unexplained(
    problem: Problem, make: Callable[..., Architecture], names: Sequence[str], seed: int, steps: int
) -> dict[str, float]:
    """Train, and measure each task."""
    torch.manual_seed(seed)
    model = build(problem, make, names)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randperm(TRAIN, generator=order)[:BATCH]
        # the few labels are in every batch, as they would be over an epoch
        rows = torch.cat((rows, torch.arange(FEW)))
        batch = {key: value[rows] for key, value in problem.batch.items()}
        optimizer.zero_grad()
        total = torch.stack(list(model.losses(model(batch), batch).values())).sum()
        penalty = model.trunk.penalty()
        (total if penalty is None else total + penalty).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    found = model.predict({"row": problem.batch["row"][TRAIN:]})
    return {n: (found[n]["values"] - problem.batch[n][TRAIN:]).square().mean().item() for n in names}


def interval(values: Sequence[float]) -> str:
    half = STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} ± {half:.2f}"


def table(name: str, seeds: int, steps: int, only: Sequence[str] | None) -> None:
    problems = [PROBLEMS[name](seed) for seed in range(seeds)]

    def mean(errors: Mapping[str, float], problem: Problem) -> float:
        return statistics.mean(errors[task] for task in problem.measured)

    singles = []
    for seed, problem in enumerate(problems):
        errors = {task: unexplained(problem, HardSharing, [task], seed, steps)[task] for task in problem.measured}
        singles.append(mean(errors, problem))
    print(
        f"\n| {name} | parameters | operations | unexplained | gain over single |\n| --- | ---: | ---: | ---: | ---: |"
    )
    print(f"| single tasks | | | {interval(singles)} | |", flush=True)
    hard = _size(problems[0], HardSharing)
    for cls in concrete_subclasses(Architecture):  # type: ignore[type-abstract]
        if only and cls.__name__ not in only:
            continue
        try:
            size = _size(problems[0], cls.example)
        except ValueError:
            continue  # it does not run on tables
        joint = [mean(unexplained(p, cls.example, p.names, seed, steps), p) for seed, p in enumerate(problems)]
        gains = [single - ours for single, ours in zip(singles, joint, strict=True)]
        sizes = " | ".join(f"{ours / theirs:.2f}" for ours, theirs in zip(size, hard, strict=True))
        print(f"| {cls.__name__} | {sizes} | {interval(joint)} | {interval(gains)} |", flush=True)


def _size(problem: Problem, make: Callable[..., Architecture]) -> tuple[int, int]:
    model = build(problem, make, problem.names).eval()
    number = sum(parameter.numel() for parameter in model.trunk.parameters())
    return number, count_flops(lambda: model({"row": problem.batch["row"][:1]}))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, choices=list(STUDENT))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--only", nargs="+", help="names of architectures")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in options.problems:
        table(name, options.seeds, options.steps, options.only)
    print(f"\n{time.process_time():.0f} CPU seconds")


if __name__ == "__main__":
    main()
