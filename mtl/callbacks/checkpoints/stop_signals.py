"""`StopSignals`: Ctrl-C, SIGTERM, a closed terminal and SLURM's warning end training after the current step."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer

Handler = Callable[[int, FrameType | None], Any] | int | None

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; missing on Windows


class TrainingStopped(SystemExit):
    """Training ended on request, and a checkpoint is saved. The exit code is the signal's, as in shells.

    Args:
        number: the signal.
        step: optimiser steps done.
        saved: the step that is saved; -1 for none. In a validation it is an earlier one.
        code: exit code; by default the signal's.
    """

    def __init__(self, number: int, step: int, saved: int, code: int | None = None) -> None:
        super().__init__(128 + number if code is None else code)
        self.number = number
        self.step = step
        self.saved = saved

    def __str__(self) -> str:
        return f"stopped by {_name(self.number)} after step {self.step}; " + (
            "everything is saved"
            if self.saved == self.step
            else f"its validation is not done, so it continues from step {max(self.saved, 0)}"
        )


class StopSignals:
    """Handles signals during training: the first one requests a stop, the second one has its usual effect.

    Lightning's own handlers run in the middle of a step, each rank on its own; a state saved there is of no step.
    """

    def __init__(self) -> None:
        self.asked = 0  # number of the signal
        self._before: dict[int, Handler] = {}
        self._owner = 0
        self._speaks = True
        self._terminal: list[int] = []  # output that ends on a terminal

    def install(self, trainer: Trainer) -> None:
        """Take the signals; of several calls the last one counts.

        Args:
            trainer: says whether SLURM runs this, and what it sends before it takes the machine away.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets no other thread do that
        self._owner = os.getpid()
        self._speaks = getattr(trainer, "is_global_zero", True)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) != signal.SIG_IGN:  # which nohup asks for
            numbers.append(_HANGUP)
            self._terminal = [number for number in (1, 2) if os.isatty(number)]
        if (requeue := requeue_signal(trainer)) is not None:
            numbers.append(requeue)
        for number in numbers:
            found = signal.getsignal(number)
            if found != self._take:
                self._before[number] = found
                signal.signal(number, self._take)

    def restore(self) -> None:
        """Put back what was there before."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._take:
                signal.signal(number, handler)
        self._before = {}

    def _take(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a loader's process, which has inherited this: its parent decides
            return
        if self.asked:
            self.restore()
            signal.raise_signal(number)
            return
        self.asked = number
        if number == _HANGUP:
            self._leave_terminal()
        if not self._speaks:
            return
        # a handler may interrupt a print, so it must not print itself
        text = f"\n{_name(number)}: the step is finished and saved first; once more ends at once.\n"
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, text.encode())

    def _leave_terminal(self) -> None:
        """Send output elsewhere: every write to a terminal that is gone is an error, in the middle of a step."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminal:
            os.dup2(nowhere, number)
        os.close(nowhere)


def requeue_signal(trainer: Trainer) -> signal.Signals | None:
    """The signal that SLURM sends some time before it ends the job; None without SLURM.

    Args:
        trainer: knows its cluster.
    """
    environment = getattr(getattr(trainer, "_accelerator_connector", None), "cluster_environment", None)
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal or signal.SIGUSR1
    return None


def requeue() -> str:
    """Ask SLURM to queue this job again; it resumes in its run folder.

    Returns:
        The result, for the user.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return f"SLURM's number of this job is unreadable ({job!r}); queue it again yourself"
    try:
        done = subprocess.run(("scontrol", "requeue", job), capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`scontrol requeue {job}` does not run ({error}); queue it again yourself"
    if done.returncode:
        return f"`scontrol requeue {job}` failed ({done.stderr.strip()}); queue it again yourself"
    return f"SLURM has queued job {job} again"


def _name(number: int) -> str:
    return _NAMES.get(signal.Signals(number), signal.Signals(number).name)
