"""What balancing costs: time and peak memory of a training step as a multiple of the plain step, and how exact it is.

Run: make bench-balancing ARGS="--quick"
Every kind of step is measured in one process, in turn, round after round; a ratio is the median over rounds of the step
divided by the plain step of the same round. On a CPU the time is the CPU time of the process, which neighbours on a
shared machine disturb least (the wall-clock ratio stands beside it); on a GPU it is the wall clock after a synchronise.
Peak memory on a CPU: what the profiler saw PyTorch's allocator give and take back during one step, its running sum at
the highest, plus what lives between steps (parameters, AdamW's averages, batch); scratch memory that oneDNN takes
past the allocator is not seen. On a GPU: `max_memory_allocated`.
A step of `every: n` is one step that asks the method and n - 1 that keep its weights, weighted so.
The cosine is between the gradient of the shared parameters and that of the same method asked at the parameters at each
step, on the same batch and parameters; with `every: n` the mean over n steps of a training run on new batches.

Rows of the JSON file: arch, K, method, at, every, ratio, peak_memory_ratio, cosine_to_exact, and wall_ratio, floor (the
cost of K exact trunk passes and nothing else), extra_copies (peak memory above plain, in copies of the shared
gradient), rounds.
"""

import argparse
import copy
import gc
import json
import math
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from balancing_peers import peer_steps
from balancing_steps import ARCHS, Balanced, Setting, Step, find_method, gramian_methods
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

At = Literal["features", "parameters"]
METHODS = ("Uncertainty", "MGDA", "PCGrad", "CAGrad", "NashMTL", "UPGrad", "AlignedMTL", "GradDrop")
DIAL = "UPGrad"  # the method of the cost dial
EVERY = (4, 16)
PEER_ROUNDS = 3  # its batched modes take as long as everything else together


class Clock:
    """Times and peak memory of steps on one device."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def time(self, step: Step) -> tuple[float, float]:
        """CPU seconds (on a GPU: wall-clock seconds) and wall-clock seconds of a step."""
        self.wait()
        cpu, wall = time.process_time(), time.perf_counter()
        step()
        self.wait()
        wall = time.perf_counter() - wall
        return (wall if self.cuda else time.process_time() - cpu), wall

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def peak(self, setting: Setting, step: Step) -> int:
        """Bytes at the highest point of a step."""
        setting.optimizer.zero_grad()
        gc.collect()
        if self.cuda:
            self.wait()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()  # networks and states of other steps are there as well
            step()
            self.wait()
            return setting.live_bytes() + torch.cuda.max_memory_allocated() - before
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            step()
        events = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
        memory = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
        now = highest = 0
        for _, size in memory:
            now += size
            highest = max(highest, now)
        return setting.live_bytes() + highest


Key = tuple[str, str, str]  # method, at, and `ask` or `keep`


def steps_of(setting: Setting, options: argparse.Namespace) -> dict[Key, Step]:
    """All steps to measure, by method, place and whether the method is asked."""
    steps: dict[Key, Step] = {("plain", "", "ask"): setting.plain(), ("floor", "parameters", "ask"): setting.floor()}
    if options.batched_floor:
        steps["floor, batched", "parameters", "ask"] = setting.floor(batched=True)
    for name in options.methods:
        method = find_method(name, setting.num_tasks)
        if method is None:
            continue
        for at in places(method):
            if at == "parameters" and options.at_parameters is not None and name not in options.at_parameters:
                continue
            steps[name, at, "ask"] = Balanced(setting, method, at).step()
            if at == "features" and name in options.solved_on_gpu:
                on_gpu = Balanced(setting, method, at, solvers_on_gpu=True)
                steps[f"{name}, solved on the GPU", at, "ask"] = on_gpu.step()
            if name == options.dial:
                kept = Balanced(setting, method, at, every=2)
                kept.step(0)()
                steps[name, at, "keep"] = kept.step(1)
    for name, step in peer_steps(setting, options.torchjd, options.autogram_tasks):
        steps[name, "parameters", "ask"] = step
    return steps


def places(method: Any) -> tuple[At, ...]:
    """Where a method can look: nowhere in particular with losses only."""
    return ("features",) if hasattr(method, "positive_losses") else tuple(method.at)


def measure(setting: Setting, steps: dict[Key, Step], rounds: int, limit_s: float) -> Iterator[dict[str, Any]]:
    """One row for each step that works."""
    clock = Clock(setting.device)
    start = time.perf_counter()
    for key, step in list(steps.items()):
        try:
            step()
        except (RuntimeError, ValueError, ImportError) as error:  # a peer that cannot do this network
            Console(stderr=True).print(f"{' '.join(key)} left out: {str(error).splitlines()[0]}")
            del steps[key]
    peaks = {key: clock.peak(setting, step) for key, step in steps.items()}
    times: dict[Key, list[tuple[float, float]]] = {key: [] for key in steps}
    for index in range(rounds):
        if index >= 3 and time.perf_counter() - start > limit_s:
            break
        for key, step in steps.items():
            if index < PEER_ROUNDS or not key[0].startswith("torchjd"):
                times[key].append(clock.time(step))
    plain = times["plain", "", "ask"]

    def ratio(key: Key, which: int) -> float:
        return statistics.median(own[which] / base[which] for own, base in zip(times[key], plain, strict=False))

    floor = ratio(("floor", "parameters", "ask"), 0)
    plain_peak = peaks["plain", "", "ask"]
    copy_bytes = sum(parameter.nbytes for parameter in setting.shared)
    for key in steps:
        method, at, how = key
        if how == "keep":
            continue
        row = {"K": setting.num_tasks, "method": method, "at": at, "every": 1}
        row |= {"ratio": ratio(key, 0), "wall_ratio": ratio(key, 1), "peak_memory_ratio": peaks[key] / plain_peak}
        row |= {"cosine_to_exact": None, "floor": floor, "rounds": len(times[key])}
        row["extra_copies"] = (peaks[key] - plain_peak) / copy_bytes
        if method == "plain":
            row["plain_ms"] = 1000 * statistics.median(cpu for cpu, _ in plain)
        yield row
        if (kept := (method, at, "keep")) in steps:
            for every in EVERY:
                means = [(ratio(key, which) + (every - 1) * ratio(kept, which)) / every for which in (0, 1)]
                yield row | {"every": every, "ratio": means[0], "wall_ratio": means[1]}


def cosine(setting: Setting, name: str, at: At, every: int) -> float:
    """Mean cosine to the exact gradient over `every` steps of training; leaves the model as it was."""
    method = find_method(name)
    assert method is not None
    before = copy.deepcopy((setting.model.state_dict(), setting.optimizer.state_dict())), setting.batch
    near, exact = Balanced(setting, method, at, every), Balanced(setting, method, "parameters")
    cosines = []
    for step in range(every):
        exact.gradients()
        wanted = setting.shared_gradient()
        near.gradients(step)
        cosines.append(float(torch.nn.functional.cosine_similarity(wanted, setting.shared_gradient(), dim=0)))
        setting.optimizer.step()
        setting.batch = setting.make_batch(len(setting.batch["image"]))
    (model, optimizer), setting.batch = before
    setting.model.load_state_dict(model)
    setting.optimizer.load_state_dict(optimizer)
    return statistics.fmean(cosines)


def train(setting: Setting, steps: int) -> None:
    """Plain steps on new batches, so that gradients are those of a network that learns, not of a random one."""
    for _ in range(steps):
        setting.batch = setting.make_batch(len(setting.batch["image"]))
        setting.plain()()


def free_speed(arch: str, device: str, rounds: int) -> Table:
    """What memory format and fused optimisers give the plain step."""
    kinds = [(layout, fused) for layout in (False, True) for fused in (False, True)]
    settings = [Setting(arch, 2, device, channels_last=layout, fused=fused) for layout, fused in kinds]
    clock = Clock(settings[0].device)
    times = [[clock.time(setting.plain())[0] for setting in settings] for _ in range(rounds)]
    table = Table("plain step", "AdamW", "ratio", title=f"free speed, {arch}")
    for index, (layout, fused) in enumerate(kinds):
        ratio = statistics.median(row[index] / row[0] for row in times)
        names = ("channels-last" if layout else "contiguous", "fused" if fused else "foreach")
        table.add_row(*names, f"{ratio:.2f}")
    return table


def show(rows: list[dict[str, Any]], arch: str, num_tasks: int) -> Table:
    columns = (
        "method",
        "at",
        "every",
        "time x plain",
        "wall x plain",
        "time x floor",
        "peak x plain",
        "copies",
        "cosine",
    )
    table = Table(*columns, title=f"{arch}, K = {num_tasks}, {rows[0]['rounds']} rounds")
    for row in rows:
        cosine = row["cosine_to_exact"]
        table.add_row(
            row["method"], row["at"], str(row["every"]), f"{row['ratio']:.2f}", f"{row['wall_ratio']:.2f}",
            f"{row['ratio'] / row['floor']:.2f}" if row["at"] == "parameters" else "",
            f"{row['peak_memory_ratio']:.2f}", f"{row['extra_copies']:+.1f}", "" if cosine is None else f"{cosine:.3f}",
        )  # fmt: skip
    return table


def benchmark(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for arch in options.arch:
        for num_tasks in options.tasks:
            setting = Setting(arch, num_tasks, options.device, options.batch, options.bf16)
            train(setting, options.train_steps)
            steps = steps_of(setting, options)
            rows = list(measure(setting, steps, options.rounds, options.limit))
            for row in rows:
                balanced = row["method"] in options.methods and not options.no_cosine
                if balanced and not math.isnan(row["ratio"]) and "parameters" in places_of(row["method"]):
                    row["cosine_to_exact"] = cosine(setting, row["method"], row["at"], row["every"])
            rows = [{"arch": arch, **row} for row in rows]
            console.print(show(rows, arch, num_tasks))
            found += rows
            save(rows, options)
            del setting, steps
            gc.collect()
    return found


def places_of(name: str) -> tuple[str, ...]:
    method = find_method(name)
    return () if method is None or hasattr(method, "positive_losses") else tuple(method.at)


def save(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Rows of one network and K, one a line; a run that is stopped keeps those before."""
    where = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with options.json.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row | where) + "\n" for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", choices=list(ARCHS), default=["cnn3", "resnet18", "resnet18-fpn"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[2, 4, 8, 16], help="numbers of tasks K")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="class names; `gramian` for all of these")
    parser.add_argument("--at-parameters", nargs="*", help="the methods to measure at the parameters; all by default")
    parser.add_argument("--solved-on-gpu", nargs="*", default=[], help="methods to measure with solvers on the GPU too")
    parser.add_argument("--batched-floor", action="store_true", help="the K exact passes as one, over a stack, as well")
    parser.add_argument("--dial", default=DIAL, help="the method of the cost dial `every`; any other word for none")
    parser.add_argument("--torchjd", nargs="*", default=["PCGrad"], help="methods of TorchJD (UPGrad needs quadprog)")
    parser.add_argument("--autogram-tasks", type=int, default=100, help="most tasks for TorchJD's Gramian engine")
    parser.add_argument("--no-cosine", action="store_true", help="leave out the cosine to the exact gradient")
    parser.add_argument("--rounds", type=int, default=15, help="most rounds of one network and K")
    parser.add_argument("--limit", type=float, default=180, help="seconds after which no new round begins; 3 at least")
    parser.add_argument("--train-steps", type=int, default=20, help="plain steps before anything is measured")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="images; by default what suits a CPU")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--no-speed", action="store_true", help="leave out the table of free speed")
    parser.add_argument("--quick", action="store_true", help="one small network, K = 2 and 4, five rounds")
    parser.add_argument("--json", type=Path, default=Path("runs/bench-balancing.jsonl"), help="file of the rows")
    options = parser.parse_args()
    if options.quick:
        options.arch, options.tasks, options.rounds = ["cnn3"], [2, 4], 5
    if options.methods == ["gramian"]:
        options.methods = gramian_methods()
    options.json.unlink(missing_ok=True)
    torch.set_num_threads(1)
    console = Console(width=130)
    if not options.no_speed:
        console.print(free_speed(options.arch[0], options.device, options.rounds))
    benchmark(options, console)


if __name__ == "__main__":
    main()
