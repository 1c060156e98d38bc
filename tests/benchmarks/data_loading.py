"""Which share of a training step is spent on loading, for each config whose data is there.

Run: python tests/benchmarks/data_loading.py [configs/bccd.yaml ...] [--rounds 7] [--batches 5] [--json]
Loading alone and whole steps (load, colours, forward, losses, backward, optimiser) take turns in one process, so the
neighbours of a shared machine slow both alike; medians over the rounds are compared. The goal is below 15 % on two
cores. Nothing is asserted.
"""

import argparse
import json
import logging
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mtl.batch import Batch
from mtl.cli.trainer.app import Run
from mtl.config.command_line import read_command_line
from mtl.data.module import JointDataModule
from mtl.module import MultiTaskLightningModule

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def endless(data: JointDataModule) -> Iterator[Batch]:
    loader, epoch = data.train_dataloader(), 0
    while True:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader
        epoch += 1


def step(module: MultiTaskLightningModule, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    outputs = module.model(batch)
    losses = module.model.losses(outputs, batch)
    optimizer.zero_grad()
    torch.stack([module.loss_weights[name] * loss for name, loss in losses.items()]).sum().backward()
    optimizer.step()


def measure(config: Path, rounds: int, batches: int) -> dict[str, Any]:
    """Median milliseconds of loading a batch and of a whole step."""
    arguments = ["--config", str(config)]
    run = Run(read_command_line("fit", arguments), arguments)
    data, module = run.data, run.model
    data.setup("fit")
    module.train()
    optimizer, _ = module.optim.build(module.model, 1000)
    batch_source = endless(data)
    step(module, optimizer, data.on_after_batch_transfer(next(batch_source), 0))
    times: dict[str, list[float]] = {"load": [], "step": []}
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(batches):
            next(batch_source)
        between = time.perf_counter()
        for _ in range(batches):
            step(module, optimizer, data.on_after_batch_transfer(next(batch_source), 0))
        times["load"].append((between - start) / batches)
        times["step"].append((time.perf_counter() - between) / batches)
    load, whole = (statistics.median(times[name]) * 1000 for name in ("load", "step"))
    shares = [load / whole for load, whole in zip(times["load"], times["step"], strict=True)]
    return {
        "config": config.stem,
        "batch_size": data.batch_size,
        "load_ms": round(load, 2),
        "step_ms": round(whole, 2),
        "share": round(statistics.median(shares), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=Path, default=sorted(CONFIGS.glob("*.yaml")))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=5, help="batches in each turn of a round")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of a table")
    arguments = parser.parse_args()
    # what the data report and Lightning say is not asked for here
    for name in ("mtl.data", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    console = Console()
    table = Table("config", "batch", "load ms", "step ms", "share", title="loading as a share of a training step")
    for config in arguments.configs:
        try:
            row = measure(config, arguments.rounds, arguments.batches)
        except ValueError as error:
            if "does not exist" not in str(error):
                raise
            row = {"config": config.stem, "skipped": "no data"}
        if arguments.json:
            print(json.dumps(row))
        elif "skipped" in row:
            table.add_row(row["config"], "", "", "", row["skipped"])
        else:
            share = f"{100 * row['share']:.1f} %"
            table.add_row(row["config"], str(row["batch_size"]), str(row["load_ms"]), str(row["step_ms"]), share)
    if not arguments.json:
        console.print(table)


if __name__ == "__main__":
    main()
