"""`Run`: builds data, model and trainer of one command line, trains in a run folder and tests the best checkpoint."""

import logging
import os
import secrets
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, ModelSummary, ProgressBar
from lightning.pytorch.loggers import Logger

from mtl.backbones.pretrained import without_pretrained
from mtl.callbacks.checkpoints.resumed_optimizer import ResumedOptimizer
from mtl.callbacks.checkpoints.resumed_record import ResumedRecord
from mtl.callbacks.checkpoints.stop_signals import TrainingStopped
from mtl.callbacks.defaults import default_callbacks
from mtl.callbacks.distributed.strategies import refuse_strategy
from mtl.callbacks.tracking.logger_guard import guard
from mtl.callbacks.tracking.loggers import make_loggers
from mtl.callbacks.tracking.wandb_run import WandbRun
from mtl.cli.trainer.config_sections import give_seed
from mtl.cli.trainer.parser import Settings
from mtl.cli.trainer.start_checks import check_monitors, check_shares, check_trainer, tell_unread_inputs
from mtl.cli.trainer.stopped_runs import end_other_ranks, say_how_to_go_on, say_what_is_saved
from mtl.cli.weights import check_fits, choose_checkpoint
from mtl.config.command_line import CommandLine
from mtl.config.explain import blame
from mtl.config.foreign_files import UnsafeFile
from mtl.config.import_policy import Builder
from mtl.config.yaml_lines import ConfigError, RunError
from mtl.data.module import JointDataModule
from mtl.drawing.figure_file import also_in
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_io import AtomicCheckpointIO
from mtl.runs.metrics_csv import MetricsCSV
from mtl.runs.record import write_record
from mtl.runs.resume import RunLock, refuse_used, resume_point
from mtl.runs.run_folder import earlier_attempt, make_run_folder, rank, remove_claimed, started_from_outside

_SEEDS = 2**32
_log = logging.getLogger(__name__)
# what wrong settings make a constructor raise
_OF_SETTINGS = (
    ValueError, ImportError, OSError, RuntimeError, TypeError, ArithmeticError, LookupError, MisconfigurationException
)  # fmt: skip


class Run:
    """Build data, model and trainer from a command line; `start` then does what its subcommand says.

    Args:
        line: the parsed command line.
        arguments: the command line as it was typed, for the record.

    Raises:
        ConfigError: for anything wrong in the config or the flags.
    """

    lock: RunLock | None = None  # of the first rank
    continues = False  # in the folder of an interrupted run

    def __init__(self, line: CommandLine, arguments: Sequence[str]) -> None:
        self.line = line
        self.arguments = list(arguments)
        shows_only = line.switches & {"--help", "--help-all", "--print_config"}
        self.checkpoint = None if shows_only else choose_checkpoint(line)
        self.settings = Settings(line)
        self.config = self.settings.config
        self._seed()
        check_trainer(self.config.trainer, line.command, self.settings.merged, self.config.test_after_fit)
        build = Builder()
        try:
            with without_pretrained(self.checkpoint is not None):
                self.built: Namespace = self.settings.parser.instantiate(
                    self.settings.expanded, instantiators=[(build, object, True)]
                )
            self.data: JointDataModule = self.built.data
            self.model: MultiTaskLightningModule = self.built.model
            self.run_dir = self._make_run_folder()
            with self._undone():
                self.trainer = self._make_trainer()
        except _OF_SETTINGS as error:
            first = build.failed[0] if build.failed else error
            if isinstance(first, ConfigError | UnsafeFile):  # it says itself what to do
                raise first from error
            if not isinstance(first, ValueError | ImportError | OSError | MisconfigurationException):
                if build.failed_class is None:  # nobody foresaw it
                    raise
                # of torch or Python, about numbers that its layers cannot have
                first = ValueError(f"{build.failed_class.__name__} cannot be built with these settings: {first}.")
            raise RunError(str(first), blame(first, self.settings.merged, build.failed_class)) from first
        # the model's own config goes into its checkpoints, as plain values, so that they rebuild it anywhere
        self.model.save_hyperparameters(self.settings.values()["model"], logger=False)

    def start(self) -> None:
        """Train, validate or test."""
        code, refused = 1, False
        try:
            self._start()
            code = 0
        except (ValueError, MisconfigurationException) as error:
            refused = self.line.command == "fit" and self.trainer.global_step == 0
            of_a_file = isinstance(error, ConfigError | UnsafeFile)
            if of_a_file or (self.trainer.global_step > 0 and self.line.command == "fit"):
                raise
            of_data = type(self.data) if _while_data_is_read(error) else None
            raise RunError(str(error), blame(error, self.settings.merged, of_data)) from error
        finally:
            for logger in self.trainer.loggers:
                if isinstance(logger, WandbRun):
                    logger.close(code)
            if refused:
                self._leave_nothing()

    def _start(self) -> None:
        start = -1
        if self.checkpoint is not None:
            start = check_fits(self.checkpoint, self.model)
        options: dict[str, Any] = {"datamodule": self.data, "ckpt_path": self.checkpoint, "weights_only": True}
        if self.line.command == "fit":
            check_shares(self.data, self.trainer, self.config.test_after_fit, self.settings.merged)
            tell_unread_inputs(self.model.model)
            try:
                self.trainer.fit(self.model, **options)
            except TrainingStopped as stop:
                say_how_to_go_on(self.run_dir, stop, self.trainer, self.line.allow)
                raise
            except BaseException:
                end_other_ranks(self.trainer)
                say_what_is_saved(self.run_dir, self.trainer, self.line.allow)
                raise
            if self.trainer.global_step == start:
                _log.warning(
                    "nothing was trained: the checkpoint is at step %d, where this run ends. To train on, raise "
                    "--trainer.max_steps or --trainer.max_epochs.", start,
                )  # fmt: skip
            self._test_best()
        elif self.line.command == "validate":
            self.trainer.validate(self.model, **options, verbose=False)
        else:
            self.trainer.test(self.model, **options, verbose=False)

    def _seed(self) -> None:
        seed = self.config.seed_everything
        origin = self.settings.merged.origin(("seed_everything",))
        if seed is False:
            return
        if seed is True and started_from_outside():
            raise ConfigError("seed_everything: true would draw another seed in every process; give a number.", origin)
        if seed is True:  # what this process has drawn, those that Lightning starts inherit
            seed = int(os.environ["PL_GLOBAL_SEED"]) if rank() > 0 else secrets.randbelow(_SEEDS)
        if not 0 <= seed < _SEEDS:
            raise ConfigError(f"seed_everything={seed} must lie within 0..{_SEEDS - 1:,}, or be true or false.", origin)
        self.config.seed_everything = seed_everything(seed, workers=True, verbose=False)
        # one seed for everything random: the data has an own one only where somebody wrote it
        written = self.settings.merged.get(("data",))
        for config in (self.config, self.settings.expanded):  # the record of the run, and what is built
            give_seed(config.data, written, self.config.seed_everything)

    def _make_run_folder(self) -> Path:
        config, command = self.settings.expanded, self.line.command
        if command == "fit":
            earlier = self.line.resume or earlier_attempt(Path(config.runs_root))
            if earlier is not None:
                return self._continue(earlier.resolve())
            folder = make_run_folder(Path(config.runs_root), config.experiment, config.name)
        elif self.line.run is not None:
            run = self.line.run.resolve()
            folder = make_run_folder(run.parent, run.name, command)
        else:
            name = config.name or f"{command}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = make_run_folder(Path(config.runs_root), config.experiment, name)
        if rank() == 0:
            self.run_dir = folder
            with self._undone():
                self.lock = RunLock(folder)
                write_record(folder, self.settings.text(), self.arguments)
        return folder

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """Leave no folder of a run that has never begun."""
        try:
            yield
        except BaseException:
            self._leave_nothing()
            raise

    def _leave_nothing(self) -> None:
        # a launcher from outside may start this command again, and has noted the folder
        if rank() == 0 and not self.continues and not started_from_outside():
            self.lock = None
            remove_claimed(self.run_dir)

    def _continue(self, folder: Path) -> Path:
        """The folder of an interrupted run, taken again."""
        self.continues = True
        if rank() == 0:
            self.lock = RunLock(folder)
        if self.line.resume is None:  # torchrun or SLURM has started the same command again
            chosen = self.settings.expanded.checkpoint.dirpath
            self.checkpoint = resume_point(folder, Path(chosen) if chosen else None)
        return folder

    def _make_trainer(self) -> Trainer:
        also_in(self.built.tracking.figure_formats)
        options: dict[str, Any] = {**self.built.trainer, "default_root_dir": str(self.run_dir)}
        if options["logger"] in (None, True) and not options["barebones"]:
            options["logger"] = self._loggers()
        if options["logger"]:
            loggers = _listed(options["logger"])
            if not any(isinstance(logger, MetricsCSV) for logger in loggers):
                loggers.append(MetricsCSV(self.run_dir / "metrics.csv"))  # curves, results and reports are made of it
            options["logger"] = [guard(logger) for logger in loggers]
        options["callbacks"] = self._callbacks(options)
        plugins = _listed(options["plugins"])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        options["plugins"] = plugins
        trainer = Trainer(**options)
        refuse_strategy(trainer.strategy, from_script=True)
        return trainer

    def _loggers(self) -> list[Logger]:
        config = yaml.safe_load(self.settings.text())
        name = self.run_dir.name if self.line.command == "fit" else f"{self.run_dir.parent.name}/{self.run_dir.name}"
        return make_loggers(self.run_dir, self.config.experiment, name, config, self.built.tracking)

    def _callbacks(self, options: Mapping[str, Any]) -> list[Callback]:
        callbacks: list[Callback] = _listed(options["callbacks"])
        resumed = self.continues and rank() == 0
        record: list[Callback] = []
        if self.checkpoint is not None and self.line.command == "fit":
            record.append(ResumedOptimizer())
        if resumed:
            record.append(ResumedRecord(self.run_dir, self.settings.text(), self.arguments))
        if options["barebones"]:
            return [*callbacks, *record]
        switches = (
            (ProgressBar, options["enable_progress_bar"]),
            (ModelSummary, options["enable_model_summary"]),
            (ModelCheckpoint, options["enable_checkpointing"]),
        )
        switched_off = tuple(kind for kind, switch in switches if switch is False)
        best = self.built.checkpoint
        if best.dirpath and self.line.command == "fit" and not self.continues and rank() == 0:
            refuse_used(Path(best.dirpath))
        best.dirpath = best.dirpath or str(self.run_dir / "checkpoints")
        ours = [best, *default_callbacks(self.run_dir, given=callbacks)]
        found = [*callbacks, *(callback for callback in ours if not isinstance(callback, switched_off))]
        if self.line.command == "fit":
            limit = options["limit_val_batches"]
            check_monitors(found, len(callbacks), self.model, limit, self.settings.merged)
        return [*found, *record]

    def _test_best(self) -> None:
        if not self.config.test_after_fit or self.config.trainer.fast_dev_run or self.trainer.interrupted:
            return
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "") or None
        if best is None:
            _log.warning("no validation has chosen a best checkpoint: the test is of the last weights.")
        self.trainer.test(self.model, datamodule=self.data, ckpt_path=best, weights_only=True, verbose=False)


def _while_data_is_read(error: Exception) -> bool:
    """Whether an error comes from the set-up of the data module, which knows nothing of the model."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(f.f_code.co_name == "setup" and isinstance(f.f_locals.get("self"), JointDataModule) for f in frames)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
