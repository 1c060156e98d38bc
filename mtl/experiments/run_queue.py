"""Many runs of `python -m mtl fit`, several at once, each a process and a folder of its own, here or elsewhere."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mtl.config.yaml_lines import dump_yaml
from mtl.evaluation.report import FAILED
from mtl.experiments.cells import is_done, is_unchanged, log_file, overlay_file
from mtl.experiments.comparison import Cell
from mtl.runs.resume import is_in_use


class Process(Protocol):
    """A run that was started."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""

    def terminate(self) -> None:
        """End it."""


Start = Callable[[Sequence[str], Path, Mapping[str, str]], Process]


class RunQueue:
    """Trains what has no results yet. A run that fails is written down, and the others go on.

    Args:
        config: what every run starts from.
        jobs: processes at once.
        flags: more words for every `fit`.
        console: where progress goes.
        seed_keys: keys of the config that a run's seed is given to.
        start: starts a run, from its words, its log and more variables of its environment; here by default.
    """

    def __init__(
        self,
        config: Path,
        jobs: int,
        flags: Sequence[str],
        console: Console,
        seed_keys: Sequence[str],
        start: Start | None = None,
    ) -> None:
        self.start = start or start_here
        self.config, self.jobs, self.flags, self.console = config, jobs, list(flags), console
        self.seed_keys = seed_keys
        self.seconds: list[float] = []  # of the runs that were trained here
        self.failed: list[Cell] = []
        self._running: dict[Path, tuple[Cell, Process]] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def train(self, cells: Sequence[Cell], title: str) -> None:
        """Train every cell that has no results, and show how far it is.

        Args:
            cells: the runs.
            title: what they are.
        """
        todo = [cell for cell in cells if not is_done(cell)]
        done: list[Cell] = []
        pool = ThreadPoolExecutor(self.jobs)
        try:
            futures = [pool.submit(self._train, cell, done) for cell in todo]
            self._watch(futures, todo, done, title, skipped=len(cells) - len(todo))
            for future in futures:
                future.result()
        except BaseException:
            self._stop()
            self.console.print("stopped; what runs is saved first. The same command goes on.")
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _train(self, cell: Cell, done: list[Cell]) -> None:
        while is_in_use(cell.path) and not self._stopped.wait(1):
            pass  # a comparison that was killed has left it running
        if self._stopped.is_set():
            return
        if is_done(cell):
            done.append(cell)
            return
        log = log_file(cell)
        command = self.command(cell)
        if (cell.path / "config.yaml").is_file() and not (cell.path / FAILED).is_file() and is_unchanged(cell):
            command += ["--resume", str(cell.path)]  # it was cut off
        else:
            shutil.rmtree(cell.path, ignore_errors=True)
            log.unlink(missing_ok=True)
        cell.folder.mkdir(parents=True, exist_ok=True)
        overlay_file(cell).write_text(dump_yaml(cell.overlay), "utf-8")
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        start = time.monotonic()
        env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
        with self._lock:  # so that none is started behind the back of `_stop`
            if self._stopped.is_set():
                return
            process = self.start(command, log, env)
            self._running[cell.path] = cell, process
        code = process.wait()
        with self._lock:
            del self._running[cell.path]
            self.seconds.append(time.monotonic() - start)
            done.append(cell)
        if self._stopped.is_set() or is_done(cell):
            return
        text = log.read_text("utf-8", errors="replace").strip()
        cell.path.mkdir(parents=True, exist_ok=True)
        (cell.path / FAILED).write_text(f"exit code {code}\n{text[-4000:]}\n", "utf-8")
        self.failed.append(cell)

    def command(self, cell: Cell) -> list[str]:
        """The words that train a run.

        Args:
            cell: the run.
        """
        seeds = [word for key in self.seed_keys for word in (f"--{key}", str(cell.seed))]
        return [
            sys.executable, "-m", "mtl", "fit", "--config", str(self.config), "--config", str(overlay_file(cell)),
            "--runs_root", str(cell.folder.parent), "--experiment", cell.folder.name, "--name", cell.name,
            "--tracking.project", cell.folder.parent.name, "--tracking.group", cell.folder.name, *seeds, *self.flags,
        ]  # fmt: skip

    def _watch(
        self, futures: Sequence[Future[None]], todo: list[Cell], done: list[Cell], title: str, skipped: int
    ) -> None:
        if not todo:
            return
        shown = 0
        live = Live(console=self.console, refresh_per_second=2) if self.console.is_terminal else None
        with live or nullcontext():
            running = True
            while running:
                running = bool(wait(futures, timeout=0.2).not_done)
                if live is not None:
                    live.update(self._table(todo, done, title, skipped))
                for cell in done[shown:]:
                    shown += 1
                    if live is None:
                        self._line(cell, shown + skipped, len(todo) + skipped, len(todo) - shown)

    def _line(self, cell: Cell, number: int, total: int, left: int) -> None:
        state = "done" if is_done(cell) else f"FAILED ({reason(cell)})"
        self.console.print(
            f"{number}/{total} {cell.folder.name} {cell.name}: {state}, {self.left(left)} left", highlight=False
        )

    def left(self, runs: int) -> str:
        """How long so many more runs take, from those that were trained here.

        Args:
            runs: how many.
        """
        if not self.seconds:
            return "unknown time"
        return duration(runs * sum(self.seconds) / len(self.seconds) / self.jobs)

    def _table(self, todo: list[Cell], done: list[Cell], title: str, skipped: int) -> Table:
        finished = len(done)
        head = f"{title}: {finished + skipped}/{len(todo) + skipped}, {len(self.failed)} failed, "
        table = Table("running", "for", title=head + f"{self.left(len(todo) - finished)} left", title_justify="left")
        with self._lock:
            for cell, _ in self._running.values():
                table.add_row(f"{cell.folder.name} {cell.name}", _last_line(cell))
        return table

    def _stop(self) -> None:
        with self._lock:
            self._stopped.set()
            for _, process in self._running.values():
                process.terminate()


def start_here(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Process:
    """A run as a process of this machine.

    Args:
        command: its words.
        log: what its output is added to.
        env: more variables of its environment.
    """
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **env})


@contextmanager
def sigterm_is_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM, as a cluster sends it, ends things as Ctrl-C does: the runs are asked to save."""

    def end(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a background job of a script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def duration(seconds: float) -> str:
    """Time for people.

    Args:
        seconds: how long.
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def positive(text: str) -> int:
    """A number of runs from the command line.

    Args:
        text: as typed.

    Raises:
        ArgumentTypeError: for what is no whole number of at least 1.
    """
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of runs; give a whole number of at least 1")
    return int(text)


def reason(cell: Cell) -> str:
    """Why a run failed: the error that it printed, else its last line.

    Args:
        cell: the run.
    """
    log = log_file(cell)
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    said = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no output")
    return said.strip()[:200]


def _last_line(cell: Cell) -> str:
    log = log_file(cell)
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1][:90] if lines else "starts"
