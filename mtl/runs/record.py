"""What a run folder says about how its numbers came about: config, command line, code version, environment."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_PACKAGES = (
    "torch", "torchvision", "lightning", "torchmetrics", "jsonargparse", "numpy", "scikit-learn", "faster-coco-eval",
    "wandb", "timm",
)  # fmt: skip


def write_record(folder: Path, config: str, arguments: Sequence[str]) -> None:
    """Write `config.yaml`, `command.txt` and `environment.json`.

    Args:
        folder: the run folder.
        config: the complete config as YAML; `fit --config` on it repeats the run.
        arguments: the command line behind `mtl`.
    """
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "command.txt").write_text(f"python -m mtl {shlex.join(arguments)}\n", encoding="utf-8")
    text = json.dumps(environment(), indent=2)
    (folder / "environment.json").write_text(f"{text}\n", encoding="utf-8")


def add_record(folder: Path, config: str, arguments: Sequence[str]) -> None:
    """Add the command that goes on with a run; a config that has changed stays beside the new one.

    Args:
        folder: the run folder.
        config: the complete config as YAML.
        arguments: the command line behind `mtl`.
    """
    with (folder / "command.txt").open("a", encoding="utf-8") as file:
        file.write(f"python -m mtl {shlex.join(arguments)}\n")
    path = folder / "config.yaml"
    before = path.read_text(encoding="utf-8") if path.is_file() else config
    if before != config:
        number = len(list(folder.glob("config.before-*.yaml"))) + 1
        (folder / f"config.before-{number}.yaml").write_text(before, encoding="utf-8")
        part = path.with_suffix(".part")
        part.write_text(config, encoding="utf-8")
        part.replace(path)


def environment() -> dict[str, Any]:
    """Code version, packages and machine."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: version for name in ("mtl", *_PACKAGES) if (version := _version(name))},
        "platform": platform.platform(),
        "cpu": {"name": _cpu_name(), "cores": os.cpu_count(), "torch_threads": torch.get_num_threads()},
        "gpus": devices,
        "cuda": torch.version.cuda if devices else None,
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out and whether files differ from it; None outside a repository.

    Args:
        folder: any folder of the repository.
    """
    sha = _git(folder, "rev-parse", "HEAD")
    if sha is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") or ""
    return {"sha": sha, "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"), "dirty": bool(changed)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    if package == "mtl":
        return getattr(sys.modules.get("mtl"), "__version__", None)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
