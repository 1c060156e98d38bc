"""The record that repeats a run: config, command line, code version, environment."""

import importlib.util
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

from mtl.config.foreign_files import read_small
from mtl.config.papers import installed_papers
from mtl.config.search_path import ROOT
from mtl.config.yaml_limits import MOST_BYTES
from mtl.errors import printable

_PACKAGES = (
    "torch", "torchvision", "lightning", "torchmetrics", "jsonargparse", "numpy", "scikit-learn", "faster-coco-eval",
    "wandb", "timm", "transformers",
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
    """Add the command that resumes a run; a config that has changed stays beside the new one.

    Args:
        folder: the run folder.
        config: the complete config as YAML.
        arguments: the command line behind `mtl`.
    """
    with (folder / "command.txt").open("a", encoding="utf-8") as file:
        file.write(f"python -m mtl {shlex.join(arguments)}\n")
    path = folder / "config.yaml"
    before = read_small(path, MOST_BYTES).decode("utf-8") if path.is_file() else config
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
        "papers_git": {name: state for name in installed_papers() if (state := _state_of(name)) is not None},
        "mtl_git": git_state(ROOT) if (ROOT / ".git").exists() else None,
        "python": platform.python_version(),
        "packages": {name: version for name in ("mtl", *_PACKAGES) if (version := _version(name))},
        "platform": platform.platform(),
        "cpu": {"name": _cpu_name(), "cores": os.cpu_count(), "torch_threads": torch.get_num_threads()},
        "gpus": devices,
        "cuda": torch.version.cuda if devices else None,
    }


def _state_of(package: str) -> dict[str, Any] | None:
    """The commit of an installed paper that is a checkout, as `pip install -e` makes it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None or "site-packages" in Path(spec.origin).parts:  # a copy, of no checkout
        return None
    return git_state(Path(spec.origin).parent)


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out; None outside a repository.

    Whether files differ from the commit is recorded for the checkout of this package only: to find that out, git runs
    what the configuration of a repository names, and the folder may be anybody's.

    Args:
        folder: any folder of the repository.
    """
    sha = _git(folder, "rev-parse", "HEAD")
    if sha is None:
        return None
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    state: dict[str, Any] = {"sha": sha, "branch": branch and printable(branch)}
    if _git(folder, "rev-parse", "--show-toplevel") == str(ROOT):
        options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        state["dirty"] = bool(_git(ROOT, "-c", "core.fsmonitor=false", "status", *options))
    return state


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # names of branches and folders are any bytes, also where a terminal has another encoding
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


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
