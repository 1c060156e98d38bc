"""Messages about a run that was stopped or failed; ends the processes that would wait for it."""

import logging
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Trainer

from mtl.callbacks.checkpoints.stop_signals import TrainingStopped, requeue, requeue_signal

_log = logging.getLogger(__name__)
_PATIENCE_S = 5.0


def say_how_to_go_on(run: Path, stop: TrainingStopped, trainer: Trainer, allow: Sequence[str] = ()) -> None:
    """Log how to continue after training was stopped; on SLURM's signal, queue the job again.

    Args:
        run: the run folder.
        stop: why it ended.
        trainer: knows whether SLURM runs this.
        allow: modules that the command allowed.
    """
    if trainer.global_rank:
        return
    queued = f" {requeue()}." if stop.number == requeue_signal(trainer) else ""
    _log.warning("%s.%s Continue with: %s", stop, queued, resume_line(run, allow))


def say_what_is_saved(run: Path, trainer: Trainer, allow: Sequence[str] = ()) -> None:
    """Log what a failed run has saved.

    Args:
        run: the run folder.
        trainer: the trainer it failed in.
        allow: modules that the command allowed.
    """
    saved = getattr(trainer.checkpoint_callback, "last_model_path", "")
    if trainer.global_rank == 0 and saved and Path(saved).is_file():
        _log.warning(
            "failed at step %d; the last checkpoint is complete. Continue with: %s",
            trainer.global_step, resume_line(run, allow),
        )  # fmt: skip


def resume_line(run: Path, allow: Sequence[str] = ()) -> str:
    """The command that resumes a run from here, as it can be pasted into a shell.

    Args:
        run: the run folder.
        allow: modules that the command allowed.
    """
    shown = run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run
    return shlex.join(
        ["python", "-m", "mtl", "fit", "--resume", str(shown), *(w for m in allow for w in ("--allow", m))]
    )


def end_other_ranks(trainer: Trainer) -> None:
    """End the processes that this one has started, which may wait for it, or hang, until the time is out.

    Args:
        trainer: the trainer of the first rank, whose training has failed.
    """
    end = time.monotonic() + _PATIENCE_S
    for process in getattr(trainer.strategy.launcher, "procs", []):
        try:
            process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
