"""`fit` for scripts and notebooks: the same run as on the command line, and what it left behind."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtl.cli.main import be_quiet
from mtl.cli.trainer.app import Run
from mtl.config.command_line import CommandLine
from mtl.config.papers import import_papers
from mtl.evaluation.load import load_run
from mtl.evaluation.trained_model import TrainedModel


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended.

    Args:
        folder: its folder.
        results: test metrics by name; empty without a test.
    """

    folder: Path
    results: dict[str, float]

    def load(self) -> TrainedModel:
        """The model with its best weights, on the CPU."""
        return load_run(self.folder)


def fit(
    config: Mapping[str, Any] | str | Path,
    flags: Mapping[str, Any] | None = None,
    name: str | None = None,
    allow: Sequence[str] = (),
) -> FinishedRun:
    """Train, then test the best checkpoint: `python -m mtl fit` from Python.

    Args:
        config: a config as a dict, or its file.
        flags: keys that override it, with dots: `{"trainer.max_steps": 100}`.
        name: name of the run's folder; time and a word by default.
        allow: modules of your own whose classes the config may name.

    Returns:
        The run.

    Raises:
        ConfigError: for anything wrong in the config.
    """
    be_quiet()
    import_papers()
    line = CommandLine("fit", allow=list(allow))
    if isinstance(config, str | Path):
        line.configs.append(Path(config))
    else:
        line.values = deepcopy(dict(config))
    if name is not None:
        flags = {**(flags or {}), "name": name}
    line.flags += [(key, _text(value)) for key, value in (flags or {}).items()]
    run = Run(line, ["fit", *(f"--{key}={value}" for key, value in line.flags)])
    run.start()
    results = run.run_dir / "results.json"
    found = json.loads(results.read_bytes()) if results.is_file() else {}
    return FinishedRun(run.run_dir, {key: value for key, value in found.items() if key != "meta"})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
