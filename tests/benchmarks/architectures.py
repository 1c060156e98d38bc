"""What architectures cost: a training step as a multiple of hard sharing's, beside what its operations say.

Run: make bench-architectures ARGS="--quick"
Every architecture takes turns with hard sharing in one process, round after round; a ratio is the median over rounds
of CPU seconds divided by the CPU seconds of hard sharing in the same round. Operations are counted in forward and
backward of the whole model, as PyTorch does: convolutions, matrix products, attention. "By hand" is the same trunk and
heads in a loop that knows nothing of this package. "exact" is a step of UPGrad at the parameters, as a multiple of the
plain step of the same architecture: what the gradient of every task costs. Nothing is frozen, whatever the default of
an architecture is.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence

import torch
from balancing_steps import ARCHS, Balanced, Setting, Step, find_method
from torch import Tensor

import mtl.architectures
from mtl.architectures.architecture import Architecture
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.cost import count_flops
from mtl.discovery import concrete_subclasses

assert mtl.architectures  # importing the package imports every architecture


def by_hand(setting: Setting) -> Step:
    """A step of the same layers without model, junction, inputs and architecture."""
    trunk, heads, batch = setting.model.trunk.backbone, setting.model.heads, setting.batch
    prepare = setting.model.inputs["image"]

    def step() -> None:
        setting.optimizer.zero_grad()
        features = trunk(prepare(batch)["image"])
        losses: list[Tensor] = [head.loss(head(features), batch) for head in heads.values()]
        torch.stack(losses).sum().backward()
        setting.optimizer.step()

    return step


def ratios(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """Each step as a multiple of the first, the median over rounds in which each has a turn."""
    seen: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        names = list(steps)[:: 1 if turn % 2 else -1]
        times = {}
        for name in names:
            start = time.process_time()
            steps[name]()
            times[name] = time.process_time() - start
        if turn:  # the first one warms up
            for name in names:
                seen[name].append(times[name] / times[next(iter(steps))])
    return {name: statistics.median(values) for name, values in seen.items()}


def operations(setting: Setting) -> int:
    """Of forward and backward."""
    return count_flops(lambda: setting.module.weighted_sum(setting.losses())[0].backward())


def row(cls: type[Architecture], hard: Setting, rounds: int, flops: int) -> list[str] | None:
    """One line of the table; None where the architecture does not run on the trunk."""
    try:
        setting = Setting(hard.arch_name, hard.num_tasks, architecture=cls.example)
    except ValueError:
        return None
    setting.model.requires_grad_(True)
    method = find_method("UPGrad", hard.num_tasks)
    assert method is not None
    found = ratios({"hard": hard.plain(), "plain": setting.plain()}, rounds)
    exact = ratios({"plain": setting.plain(), "exact": Balanced(setting, method, "parameters").step()}, rounds)
    number = sum(p.numel() for p in setting.model.parameters()) / sum(p.numel() for p in hard.model.parameters())
    more = operations(setting) / flops
    step = found["plain"]
    return [f"{cell:.2f}" for cell in (number, more, step, step / more, exact["exact"])]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", nargs="+", default=["resnet18", "residual-fpn"], choices=list(ARCHS))
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", help="names of architectures")
    parser.add_argument("--quick", action="store_true", help="three rounds")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rounds = 3 if options.quick else options.rounds
    for arch in options.arch:
        hard = Setting(arch, options.tasks)
        flops = operations(hard)
        hand = ratios({"by hand": by_hand(hard), "hard": hard.plain()}, 5 * rounds)
        print(f"\n{arch}, K = {options.tasks}: hard sharing takes {hand['hard']:.3f} of a loop by hand\n", flush=True)
        print("| architecture | parameters | operations | step | step / operations | exact / plain |", flush=True)
        print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for cls in concrete_subclasses(Architecture):  # type: ignore[type-abstract]
            if cls is not HardSharing and (not options.only or cls.__name__ in options.only):
                cells = row(cls, hard, rounds, flops)
                if cells:
                    print("|", " | ".join([cls.__name__, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
