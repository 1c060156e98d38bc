"""Write the data of a config as shards, for fast or remote storage.

Run: python -m mtl.cli.write_shards --config configs/digits.yaml --to shards/digits
Then: python -m mtl fit --config shards/digits/digits_sharded.yaml
Samples are written as they are before augmentation, which stays a matter of training. Any flag of `fit` for the data
works here: --data.num_train 100.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

import yaml
from rich.console import Console

from mtl.cli.show import refuse_other_flags
from mtl.config.command_line import CommandLine, read_command_line
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.papers import import_papers
from mtl.config.yaml_lines import ConfigError
from mtl.data.shards.module import TASKS
from mtl.data.shards.shard_set import write_shards
from mtl.evaluation.build import build_data


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one folder of shards for each split, the tasks, and a config that reads them.

    Args:
        arguments: the command line; by default the process's.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--to", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("--shard_mb", type=float, default=64.0, help="megabytes of a shard [64]")
    parser.add_argument("--png", action="store_true", help="pack the pictures as PNG: smaller, slower to read")
    options, rest = parser.parse_known_args(arguments)
    try:
        line = read_command_line("fit", rest)
        refuse_other_flags(line, parser)
        _write(options.to, line, int(options.shard_mb * 1e6), options.png)
    except (ConfigError, ValueError, ImportError, OSError) as error:
        parser.exit(2, f"error: {error}\n")


def _write(folder: Path, line: CommandLine, shard_bytes: int, png: bool) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} is not empty. Choose another folder, or delete what is in it.")
    if not line.configs:
        raise ConfigError("--config FILE says which data to write.")
    import_papers()
    allow_imports(line.allow)
    config = read_config(line.configs, line.flags)
    data = build_data(config)
    console = Console(highlight=False)
    for stage, splits in (("fit", ("train", "val")), ("test", ("test",))):
        try:
            data.setup(stage)
        except ValueError as error:
            if stage == "fit":
                raise
            console.print(f"no test split: {error}", soft_wrap=True)
            continue
        for split in splits:
            samples = getattr(data, f"{split}_set")
            count = write_shards(samples, folder / split, shard_bytes, png)
            console.print(f"{split}: {len(samples)} samples in {count} shards", soft_wrap=True)
    tasks = {name: _plain(asdict(task)) for name, task in data.tasks.items()}
    (folder / TASKS).write_text(json.dumps(tasks, indent=2) + "\n", encoding="utf-8")
    settings: dict[str, Any] = {"root": str(folder), "tasks": tasks, "batch_size": data.batch_size}
    settings |= {"eval_batch_size": data.eval_batch_size, "num_workers": 2, "seed": data.seed}
    augment = config.get(("data", "init_args", "augment"))
    settings |= {"augment": augment} if augment else {}
    file = folder / f"{line.configs[0].stem}_sharded.yaml"
    overlay = {
        "base": [os.path.relpath(path, folder) for path in line.configs],
        "data": {"class_path": "ShardedData", "init_args": settings},
    }
    comment = "# The same experiment with its data in shards\n"
    file.write_text(comment + yaml.safe_dump(overlay, sort_keys=False), encoding="utf-8")
    console.print(f"train on them: python -m mtl fit --config {quote(str(file))}", soft_wrap=True)


def _plain(task: dict[str, object]) -> dict[str, object]:
    names = list(task["class_names"])  # type: ignore[call-overload]
    return {"kind": task["kind"]} | ({"class_names": names} if names else {"num_classes": task["num_classes"]})


if __name__ == "__main__":
    main()
