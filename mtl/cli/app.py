"""`MultiTaskCLI`: LightningCLI with one merged config, our messages, a run folder, and tests of the best checkpoint."""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, ModelSummary, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.callbacks.checkpoints.stop_signals import TrainingStopped
from mtl.callbacks.defaults import default_callbacks
from mtl.callbacks.distributed.strategies import refuse_strategy
from mtl.callbacks.tracking.logger_guard import guard
from mtl.callbacks.tracking.loggers import Tracking, make_loggers
from mtl.callbacks.tracking.wandb_run import WandbRun
from mtl.cli.config_sections import SETTINGS, experiment_of, make_schema, tasks_of
from mtl.cli.help import show_settings
from mtl.cli.stopped_runs import end_other_ranks, say_how_to_go_on, say_what_is_saved
from mtl.cli.weights import check_fits, choose_checkpoint
from mtl.config.checks import expand_paths, refuse_ignored_keys, refuse_unsafe
from mtl.config.command_line import CommandLine
from mtl.config.explain import blame, explain, locate, unknown_key
from mtl.config.import_policy import Builder, ImportRefused, allow_imports, check_parsed
from mtl.config.merge import Config, read_config
from mtl.config.paths import refuse_name
from mtl.config.yaml_lines import ConfigError, RunError
from mtl.data.module import JointDataModule
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_io import AtomicCheckpointIO
from mtl.runs.record import add_record, write_record
from mtl.runs.resume import RunLock, resume_point
from mtl.runs.run_folder import earlier_attempt, make_run_folder, rank, started_from_outside

_SEEDS = 2**32


class MultiTaskCLI(LightningCLI):
    """Build data, model and trainer from a command line; `run` then does what its subcommand says.

    Args:
        line: the command line taken apart.
        arguments: the command line as it was typed, for the record.

    Raises:
        ConfigError: for anything wrong in the config or the flags.
    """

    config_init: Namespace
    model: MultiTaskLightningModule
    datamodule: JointDataModule
    trainer: Trainer
    run_dir: Path
    lock: RunLock  # of the first rank

    def __init__(self, line: CommandLine, arguments: Sequence[str]) -> None:
        self.line = line
        self.arguments = list(arguments)
        if str(Path.cwd()) not in sys.path:  # `paper.heads.MyHead` lies beside `mtl`; last, so it hides nothing
            sys.path.append(str(Path.cwd()))
        allow_imports(line.allow)
        self.checkpoint = (
            None if line.switches & {"--help", "--help-all", "--print_config"} else choose_checkpoint(line)
        )
        self.merged = self._read_config()
        super().__init__(
            MultiTaskLightningModule,
            JointDataModule,
            save_config_callback=None,  # config.yaml is written when the run folder is made
            seed_everything_default=0,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # _keep_settings and evaluation.load do it, under the import policy
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "prog": f"mtl {line.command}"},
            args={},
            run=False,
        )

    def run(self) -> None:
        """Train, validate or test."""
        code = 1
        try:
            self._run()
            code = 0
        except ValueError as error:
            if self.trainer.global_step > 0 and self.line.command == "fit":
                raise
            raise RunError(str(error), blame(error, self.merged)) from error
        finally:
            for logger in self.trainer.loggers:
                if isinstance(logger, WandbRun):
                    logger.close(code)

    def _run(self) -> None:
        if self.checkpoint is not None:
            check_fits(self.checkpoint, self.model)
        options: dict[str, Any] = {"datamodule": self.datamodule, "ckpt_path": self.checkpoint, "weights_only": True}
        if self.line.command == "fit":
            try:
                self.trainer.fit(self.model, **options)
            except TrainingStopped as stop:
                say_how_to_go_on(self.run_dir, stop, self.trainer)
                raise
            except BaseException:
                end_other_ranks(self.trainer)
                say_what_is_saved(self.run_dir, self.trainer)
                raise
            self._test_best()
        elif self.line.command == "validate":
            self.trainer.validate(self.model, **options, verbose=False)
        else:
            self.trainer.test(self.model, **options, verbose=False)

    def config_text(self) -> str:
        """The complete config as YAML, which repeats the run."""
        return str(self.parser.dump(self.config, skip_unset=False, format="yaml"))

    # LightningCLI calls these in this order

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name, (kind, default, text) in SETTINGS.items():
            parser.add_argument(f"--{name}", type=kind, default=default, help=text)
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_class_arguments(Tracking, "tracking")
        parser.link_arguments("data", "model.tasks", compute_fn=tasks_of, apply_on="parse")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        if self.line.switches & {"--help", "--help-all"}:
            show_settings(parser, self.line.command, everything="--help-all" in self.line.switches)
            raise SystemExit(0)
        schema = make_schema(self.merged)
        schema.drop_removed()
        for key in self.merged.values:
            if key not in schema.sections:
                raise unknown_key((key,), self.merged, schema)
        refuse_unsafe(self.merged, schema)
        expand_paths(self.merged, schema)
        if not self.merged.values.get("data"):
            if not self.line.configs and self.line.run is None:
                raise ConfigError(
                    f"`{self.line.command}` needs a config: --config configs/digits.yaml. "
                    "`python -m mtl list configs` shows what there is."
                )
            raise explain("the following arguments are required: data", self.merged, schema)
        if self.merged.get(("model", "tasks")) is not None:
            origin = self.merged.origin(("model", "tasks"))
            raise ConfigError("`model.tasks` comes from the data module; remove it here.", origin)
        try:
            self.config = parser.parse_object(deepcopy(self.merged.values))
            check_parsed(self.config)
        except ArgumentError as error:
            raise explain(str(error), self.merged, schema) from error
        except ImportRefused as error:
            place = locate(error.name, (), self.merged, as_value=True) or ()
            raise ConfigError(str(error), self.merged.origin(place)) from error
        refuse_ignored_keys(self.merged, self.config, schema)
        if self.config.experiment is None:
            self.config.experiment = experiment_of(self.line.configs)
        for key in ("experiment", "name"):
            if self.config[key] is not None:
                refuse_name(key, self.config[key], self.merged.origin((key,)))

    def before_instantiate_classes(self) -> None:
        if "--print_config" in self.line.switches:
            sys.stdout.write(self.config_text())
            raise SystemExit(0)

    def _parse_ckpt_path(self) -> None:
        """Do not take the config of a checkpoint in silence; `--run` takes it openly."""

    def _set_seed(self) -> None:
        seed = self.config.seed_everything
        origin = self.merged.origin(("seed_everything",))
        if seed is False:
            return
        if seed is True and started_from_outside():
            raise ConfigError("seed_everything: true would draw another seed in every process; give a number.", origin)
        if seed is True:  # what this process has drawn, those that Lightning starts inherit
            seed = int(os.environ["PL_GLOBAL_SEED"]) if rank() > 0 else secrets.randbelow(_SEEDS)
        if not 0 <= seed < _SEEDS:
            raise ConfigError(f"seed_everything={seed} must lie within 0..{_SEEDS - 1:,}, or be true or false.", origin)
        self.config.seed_everything = seed_everything(seed, workers=True, verbose=False)

    def instantiate_classes(self) -> None:
        build = Builder()
        try:
            self.config_init = self.parser.instantiate(self.config, instantiators=[(build, object, True)])
            self.datamodule, self.model = self.config_init.data, self.config_init.model
            self.trainer = self.instantiate_trainer()
        except (ValueError, ImportError, OSError) as error:
            first = build.failed[0] if build.failed else error
            raise RunError(str(first), blame(first, self.merged)) from first
        self._keep_settings()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        self.run_dir = self._make_run_folder()
        options: dict[str, Any] = {**self.config_init.trainer, **kwargs, "default_root_dir": str(self.run_dir)}
        if options["logger"] in (None, True) and not options["barebones"]:
            options["logger"] = self._loggers()
        if options["logger"]:
            given = options["logger"] if isinstance(options["logger"], list) else [options["logger"]]
            options["logger"] = [guard(logger) for logger in given]
        options["callbacks"] = self._callbacks(options)
        given = options["plugins"] or []
        plugins = list(given) if isinstance(given, list) else [given]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        options["plugins"] = plugins
        trainer = Trainer(**options)
        refuse_strategy(trainer.strategy, from_script=True)
        return trainer

    # our parts

    def _read_config(self) -> Config:
        files = list(self.line.configs)
        run = self.line.run
        if self.line.resume is not None and not files:  # with --config it is the command of the run again
            run = self.line.resume
        if run is not None:
            saved = run / "config.yaml"
            if not saved.is_file():
                raise ConfigError(f"run folder {str(run)!r} has no config.yaml; give --config and --ckpt_path.")
            files.insert(0, saved)
        return read_config(files, self.line.flags)

    def _make_run_folder(self) -> Path:
        config, command = self.config, self.line.command
        if command == "fit":
            earlier = self.line.resume or earlier_attempt(Path(config.runs_root))
            if earlier is not None:
                return self._go_on(earlier.resolve())
            folder = make_run_folder(Path(config.runs_root), config.experiment, config.name)
        elif self.line.run is not None:
            run = self.line.run.resolve()
            folder = make_run_folder(run.parent, run.name, command)
        else:
            name = config.name or f"{command}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = make_run_folder(Path(config.runs_root), config.experiment, name)
        if rank() == 0:
            self.lock = RunLock(folder)
            write_record(folder, self.config_text(), self.arguments)
        return folder

    def _go_on(self, folder: Path) -> Path:
        """The folder of an interrupted run, taken again."""
        if rank() == 0:
            self.lock = RunLock(folder)
        if self.line.resume is None:  # torchrun or SLURM has started the same command again
            self.checkpoint = resume_point(folder)
        if rank() == 0:
            add_record(folder, self.config_text(), self.arguments)
        return folder

    def _keep_settings(self) -> None:
        """Put the model's own config into its checkpoints, as plain values, so that they rebuild it anywhere."""
        text = self.parser.dump(self.config, skip_unset=False, skip_link_targets=False, format="yaml")
        settings = yaml.safe_load(text)["model"]
        self.model.save_hyperparameters(settings, logger=False)

    def _loggers(self) -> list[Logger]:
        config = yaml.safe_load(self.config_text())
        name = self.run_dir.name if self.line.command == "fit" else f"{self.run_dir.parent.name}/{self.run_dir.name}"
        return make_loggers(self.run_dir, self.config.experiment, name, config, self.config_init.tracking)

    def _callbacks(self, options: Mapping[str, Any]) -> list[Callback]:
        given = options["callbacks"] or []
        callbacks: list[Callback] = list(given) if isinstance(given, list) else [given]
        if options["barebones"]:
            return callbacks
        switched_off: list[type] = [
            kind
            for kind, switch in (
                (ProgressBar, options["enable_progress_bar"]),
                (ModelSummary, options["enable_model_summary"]),
                (ModelCheckpoint, options["enable_checkpointing"]),
            )
            if switch is False
        ]
        best = self.config_init.checkpoint
        best.dirpath = best.dirpath or str(self.run_dir / "checkpoints")
        ours = [best, *default_callbacks(self.run_dir, given=callbacks)]
        return [*callbacks, *(callback for callback in ours if not isinstance(callback, tuple(switched_off)))]

    def _test_best(self) -> None:
        if not self.config.test_after_fit or self.config.trainer.fast_dev_run or self.trainer.interrupted:
            return
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "") or None
        self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, weights_only=True, verbose=False)
