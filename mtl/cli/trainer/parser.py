"""From a command line to checked settings: files and flags are merged, checked, parsed; nothing is built yet."""

import sys
from collections.abc import Mapping
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import Trainer

from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.callbacks.tracking.loggers import Tracking
from mtl.cli.help import show_settings
from mtl.cli.trainer.config_sections import SETTINGS, experiment_of, inputs_of, make_schema, tasks_of
from mtl.config.command_line import CommandLine
from mtl.config.import_policy import allow_imports
from mtl.config.merge import Config, read_config
from mtl.config.parsing import expand, new_parser, parse
from mtl.config.paths import refuse_name
from mtl.config.schema import signature
from mtl.config.yaml_lines import ConfigError, Origin
from mtl.data.from_data import filled_from_data
from mtl.data.module import JointDataModule
from mtl.module import MultiTaskLightningModule


class Settings:
    """The complete, checked config of one run.

    Args:
        line: the parsed command line.

    Raises:
        ConfigError: for anything wrong in the config or the flags.
        SystemExit: after `--help` or `--print_config`.
    """

    def __init__(self, line: CommandLine) -> None:
        self.line = line
        try:
            allow_imports(line.allow)
        except ValueError as error:
            raise ConfigError(str(error), Origin(f"--allow {','.join(line.allow)}")) from error
        self.merged = _read_config(line)
        self.parser = make_parser(line.command)
        if line.switches & {"--help", "--help-all"}:
            show_settings(self.parser, line.command, everything="--help-all" in line.switches)
            raise SystemExit(0)
        self.merged = filled_from_data(self.merged)
        self.config = self._parse()
        self.expanded = expand(self.config, self.merged, make_schema())
        if "--print_config" in line.switches:
            sys.stdout.write(self.text())
            raise SystemExit(0)

    def text(self) -> str:
        """The config as YAML, which repeats the run."""
        return str(self.parser.dump(self.config, skip_unset=False, format="yaml"))

    def values(self) -> dict[str, Any]:
        """The config as plain values, with the tasks and inputs that the data module declares."""
        text = self.parser.dump(self.config, skip_unset=False, skip_link_targets=False, format="yaml")
        values: dict[str, Any] = yaml.safe_load(text)
        return values

    def _parse(self) -> Namespace:
        merged, schema = self.merged, make_schema()
        if not merged.values.get("data") and not self.line.configs and not self.line.values and self.line.run is None:
            raise ConfigError(
                f"`{self.line.command}` needs a config: --config configs/digits.yaml. "
                "`python -m mtl list configs` names them."
            )
        if not merged.values and self.line.configs:
            file = str(self.line.configs[-1])
            raise ConfigError(f"config file {file!r} is empty; `python -m mtl list configs` names some to begin with.")
        config = parse(self.parser, merged, schema)
        if config.experiment is None:
            config.experiment = experiment_of(self.line.configs)
        if not str(config.runs_root).strip():
            raise ConfigError("runs_root is empty; give a folder, or . for this one.", merged.origin(("runs_root",)))
        for key in ("experiment", "name"):
            if config[key] is not None:
                refuse_name(key, config[key], merged.origin((key,)))
        return config


def make_parser(command: str) -> ArgumentParser:
    """The parser of everything that a config may hold.

    Args:
        command: the subcommand, for the help.
    """
    parser = new_parser(prog=f"mtl {command}", allow_abbrev=False)
    settings: Mapping[str, tuple[Any, Any, str]] = SETTINGS
    for name, (kind, default, text) in settings.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    for section in (MultiTaskLightningModule, Trainer, BestCheckpoint, Tracking):
        signature(section)  # puts the annotations into the order in which the parser is to try them
    parser.add_subclass_arguments(JointDataModule, "data", fail_untyped=False, required=True)
    parser.add_class_arguments(MultiTaskLightningModule, "model", fail_untyped=False)
    parser.add_class_arguments(Trainer, "trainer", fail_untyped=False, instantiate=False)
    parser.add_class_arguments(BestCheckpoint, "checkpoint", fail_untyped=False)
    parser.add_class_arguments(Tracking, "tracking")
    parser.link_arguments("data", "model.tasks", compute_fn=tasks_of, apply_on="parse")
    parser.link_arguments("data", "model.inputs", compute_fn=inputs_of, apply_on="parse")
    return parser


def _read_config(line: CommandLine) -> Config:
    if line.values is not None:
        return read_config([], line.flags, line.values)
    files = list(line.configs)
    run = line.run
    if line.resume is not None and not files:  # with --config it is the command of the run again
        run = line.resume
    if run is not None:
        saved = run / "config.yaml"
        if not saved.is_file():
            raise ConfigError(f"run folder {str(run)!r} has no config.yaml; give --config and --ckpt_path.")
        files.insert(0, saved)
    return read_config(files, line.flags)
