"""The loop on a GPU: `fit` beside a loop by hand, the largest kernels, compilation.

Run: python tests/benchmarks/gpu_training.py --rows runs/gpu/rows.jsonl [--parts loop kernels compile] [--rehearse]
A network, its batches and its optimiser are those of `balancing_steps.py`. The loop by hand does what `fit` does for
the numbers: batch to the device, autocast, losses, backward, clipping, optimiser; it logs nothing and calls nobody.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from balancing_steps import Balanced, Setting, find_method
from gpu_rows import Rows, median_seconds, seconds_of, wait_for
from lightning.pytorch import Callback, Trainer
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mtl.batch import Batch
from mtl.callbacks.checkpoints.ema import EMA
from mtl.callbacks.defaults import default_callbacks

CLIP = 5.0
# name: network, number of tasks, batch on a GPU
CASES = {"small CNN": ("cnn3", 2, 64), "ResNet-50": ("resnet50", 2, 64), "ResNet-50, 8 tasks": ("resnet50", 8, 64)}


class Batches:
    """A few batches in pinned memory, over and over: no loader is measured here."""

    def __init__(self, setting: Setting, steps: int) -> None:
        self.steps = steps
        made = [setting.make_batch(len(setting.batch["image"])) for _ in range(4)]
        pinned = setting.device.type == "cuda"
        self.batches = [{k: v.cpu().pin_memory() if pinned else v.cpu() for k, v in batch.items()} for batch in made]

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return (self.batches[step % len(self.batches)] for step in range(self.steps))


class Busy:
    """How long a GPU ran kernels between two moments, from the profiler; 0 on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.ms = device, 0.0
        self.profiler = profile(activities=[ProfilerActivity.CUDA])

    def start(self) -> None:
        if self.device.type == "cuda":
            wait_for(self.device)
            self.profiler.start()

    def stop(self) -> None:
        if self.device.type != "cuda":
            return
        wait_for(self.device)
        self.profiler.stop()
        events = [event for event in self.profiler.events() if event.device_type == DeviceType.CUDA]
        reached = 0.0
        for start, end in sorted((event.time_range.start, event.time_range.end) for event in events):
            self.ms += max(0.0, end - max(start, reached)) / 1000
            reached = max(reached, end)


class Stopwatch(Callback):
    """Seconds from the end of one step to the end of another, and how long the GPU was busy, where that is asked."""

    def __init__(self, device: torch.device, first: int, last: int, busy: Busy | None = None) -> None:
        self.device, self.first, self.last, self.busy = device, first, last, busy
        self.seconds = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx in (self.first, self.last):
            wait_for(self.device)
            self.seconds = time.perf_counter() - self.seconds
        if self.busy is not None and batch_idx in (self.first, self.last):
            (self.busy.start if batch_idx == self.first else self.busy.stop)()


def by_hand(setting: Setting, batches: Batches) -> Callable[[], None]:
    """The whole loop."""
    parameters = list(setting.model.parameters())

    def loop() -> None:
        for batch in batches:
            here = {name: value.to(setting.device, non_blocking=True) for name, value in batch.items()}
            with setting.autocast():
                losses = setting.model.losses(setting.model(here), here)
                total = torch.stack(list(losses.values())).sum()
            setting.optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            setting.optimizer.step()

    return loop


def by_fit(setting: Setting, batches: Batches, first: int, everything: bool = False, busy: Busy | None = None) -> float:
    """Seconds of a step under `Trainer.fit`.

    Args:
        setting: the network.
        batches: what it is trained on.
        first: the step after which the clock starts.
        everything: with all default callbacks and averaged weights, as a run from the command line.
        busy: profiles the same steps.
    """
    watch = Stopwatch(setting.device, first, len(batches) - 1, busy)
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [*default_callbacks(Path(folder)), EMA()] if everything else []
        trainer = Trainer(
            accelerator="gpu" if setting.device.type == "cuda" else "cpu", devices=1, max_epochs=1, logger=False,
            precision="bf16-mixed", gradient_clip_val=CLIP, callbacks=[*callbacks, watch], enable_checkpointing=False,
            enable_progress_bar=everything, enable_model_summary=everything, num_sanity_val_steps=0,
            log_every_n_steps=50,
        )  # fmt: skip
        trainer.fit(setting.module, batches)
    setting.module.to(setting.device)  # the trainer leaves it on the CPU
    return watch.seconds / (len(batches) - 1 - first)


def measure_loop(rows: Rows, setting: Setting, name: str, steps: int, rounds: int) -> None:
    first = steps // 4
    batches, hand_batches = Batches(setting, steps), Batches(setting, steps - 1 - first)
    hand = by_hand(setting, hand_batches)
    hand()
    loops: dict[str, Callable[[], float]] = {
        "hand": lambda: seconds_of(hand, setting.device) / len(hand_batches),
        "fit, no callbacks": lambda: by_fit(setting, batches, first),
        "fit, all default callbacks and EMA": lambda: by_fit(setting, batches, first, everything=True),
    }
    times: dict[str, list[float]] = {loop: [] for loop in loops}
    for _ in range(rounds):
        for loop, taken in times.items():
            taken.append(loops[loop]())
    busy = {loop: Busy(setting.device) for loop in loops}
    busy["hand"].start()
    hand()
    busy["hand"].stop()
    by_fit(setting, batches, first, busy=busy["fit, no callbacks"])
    by_fit(setting, batches, first, everything=True, busy=busy["fit, all default callbacks and EMA"])
    for loop, taken in times.items():
        ms, busy_ms = 1000 * median(taken), busy[loop].ms / len(hand_batches)
        rows.add(
            "loop", case=name, loop=loop, ms=ms, steps_per_s=1000 / ms, rounds=rounds, busy_ms=busy_ms or None,
            time_x_hand=median(own / base for own, base in zip(taken, times["hand"], strict=True)),
            # of the steps that nobody profiled, which are faster
            idle_share=1 - busy_ms / ms if busy_ms else None,
        )  # fmt: skip


def measure_kernels(rows: Rows, setting: Setting, name: str) -> None:
    method = find_method("UPGrad", setting.num_tasks)
    assert method is not None
    steps = {"plain": setting.plain(), "UPGrad at features": Balanced(setting, method, "features").step()}
    on_gpu = setting.device.type == "cuda"
    for step_name, step in steps.items():
        for _ in range(3):
            step()
        wait_for(setting.device)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with profile(activities=activities) as seen:
            for _ in range(3):
                step()
            wait_for(setting.device)
        field = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        events = [
            event
            for event in seen.key_averages()
            if getattr(event, field) > 0 and (not on_gpu or event.device_type == DeviceType.CUDA)
        ]
        total = sum(getattr(event, field) for event in events)
        events.sort(key=lambda event: getattr(event, field), reverse=True)
        known = {"case": name, "step": step_name}
        rows.add("kernels", **known, rank=0, kernel="all", ms=total / 3000, calls=len(events), share=1.0)
        for rank, event in enumerate(events[:10], 1):
            taken = getattr(event, field)
            rows.add(
                "kernels", **known, rank=rank, kernel=event.key[:120], ms=taken / 3000, calls=event.count / 3,
                share=taken / total,
            )  # fmt: skip


def measure_compile(rows: Rows, make: Callable[[], Setting], name: str, rounds: int, backend: str) -> None:
    method = find_method("UPGrad", 2)
    assert method is not None
    for step_name in ("plain", "UPGrad at features"):
        setting = make()

        def step_of(setting: Setting = setting, step_name: str = step_name) -> Callable[[], None]:
            return setting.plain() if step_name == "plain" else Balanced(setting, method, "features").step()

        with rows.guard("compile", case=name, step=step_name):
            plain = median_seconds(step_of(), setting.device, rounds)
            torch.compiler.reset()
            setting.model.compile(backend=backend)
            start = time.perf_counter()
            compiled = step_of()
            compiled()
            wait_for(setting.device)
            first = time.perf_counter() - start
            fast = median_seconds(compiled, setting.device, rounds)
            rows.add(
                "compile", case=name, step=step_name, eager_ms=1000 * plain, compiled_ms=1000 * fast,
                ratio=fast / plain, first_step_s=first, backend=backend,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["loop", "kernels", "compile"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes")
    options = parser.parse_args()
    tiny = options.rehearse
    rows = Rows(options.rows, options.device)

    def setting(case: str) -> Setting:
        arch, num_tasks, batch = CASES[case]
        return Setting("cnn3" if tiny else arch, num_tasks, options.device, 4 if tiny else batch, bf16=True)

    for case in CASES:
        if "loop" in options.parts:
            with rows.guard("loop", case=case):
                measure_loop(rows, setting(case), case, steps=8 if tiny else 60, rounds=1 if tiny else 3)
        if "kernels" in options.parts and case != "small CNN":
            with rows.guard("kernels", case=case):
                measure_kernels(rows, setting(case), case)
    if "compile" in options.parts:
        backend = "inductor" if options.device == "cuda" else "aot_eager"
        measure_compile(rows, lambda: setting("ResNet-50"), "ResNet-50", 3 if tiny else 15, backend)
    raise SystemExit(1 if rows.failed else 0)


if __name__ == "__main__":
    main()
