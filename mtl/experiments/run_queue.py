"""A queue of `python -m mtl fit` runs, several at once, each with its own process and folder, here or on a cluster."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mtl.config.foreign_files import own_folder, read_end
from mtl.config.search_path import of_children
from mtl.config.yaml_lines import dump_yaml
from mtl.errors import printable
from mtl.evaluation.tables.report import FAILED, error_of
from mtl.experiments.queued_run import QueuedRun
from mtl.runs.resume import RunLock, is_in_use
from mtl.runs.run_folder import discard


class Process(Protocol):
    """A run that was started."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""

    def terminate(self) -> None:
        """End it."""


Start = Callable[[Sequence[str], Path, Mapping[str, str]], Process]


class RunQueue:
    """Trains the runs that have no results yet. A failed run is recorded, and the others are trained.

    Args:
        root: folder that holds all runs; no other queue works in it meanwhile.
        jobs: processes at once.
        flags: words for every `fit`.
        console: where progress is shown.
        start: starts a run, from its words, its log and more variables of its environment; on this machine by default.

    Raises:
        ConfigError: if another queue works in the folder.
        UnsafeFile: if what is written into the folder would land elsewhere.
    """

    def __init__(
        self, root: Path, jobs: int, flags: Sequence[str], console: Console, start: Start | None = None
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        own_folder(root)
        self._folder_lock = RunLock(root)
        self.start = start or start_here
        self.jobs, self.flags, self.console = jobs, list(flags), console
        self.seconds: list[float] = []  # of the runs that were trained here
        self.failed: list[QueuedRun] = []
        self._running: dict[Path, tuple[QueuedRun, Process]] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def train(self, runs: Sequence[QueuedRun], title: str) -> None:
        """Train every run that is not closed, and show the progress.

        Args:
            runs: the runs.
            title: what they are.
        """
        todo = [run for run in runs if not run.is_closed]
        ended: list[QueuedRun] = []
        pool = ThreadPoolExecutor(self.jobs)
        with _sigterm_is_ctrl_c():
            try:
                futures = [pool.submit(self._train, run, ended) for run in todo]
                self._watch(futures, todo, ended, title, skipped=len(runs) - len(todo))
            except BaseException:
                self._stop()
                self.console.print("stopped; running trainings save their state first. The same command continues.")
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def raise_if_failed(self) -> None:
        """Name the runs that failed.

        Raises:
            RuntimeError: if there are any.
        """
        if self.failed:
            names = ", ".join(f"{run.folder.name} {run.name}" for run in self.failed)
            raise RuntimeError(
                f"{len(self.failed)} runs failed: {names}. Their logs are beside them; run it again to retry."
            )

    def _train(self, run: QueuedRun, ended: list[QueuedRun]) -> None:
        while is_in_use(run.path) and not self._stopped.wait(1):
            pass  # a queue that was killed has left it running
        if self._stopped.is_set():
            return
        if run.is_closed:
            ended.append(run)
            return
        settings = run.settings()
        command = self.command(run)
        if (run.path / "config.yaml").is_file() and run.state != "FAILED" and run.is_unchanged():
            command += ["--resume", str(run.path)]  # it was cut off
        else:
            discard(run.path, FAILED)
            run.log.unlink(missing_ok=True)
        run.folder.mkdir(parents=True, exist_ok=True)
        run.settings_file.write_text(dump_yaml(settings), "utf-8")
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        start = time.monotonic()
        env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)), **of_children()}
        with self._lock:  # so that none is started behind the back of `_stop`
            if self._stopped.is_set():
                return
            process = self.start(command, run.log, env)
            self._running[run.path] = run, process
        code = process.wait()
        with self._lock:
            del self._running[run.path]
            self.seconds.append(time.monotonic() - start)
        if not self._stopped.is_set() and not run.is_closed:
            text = read_end(run.log, 4000).strip()
            run.path.mkdir(parents=True, exist_ok=True)
            (run.path / FAILED).write_text(f"exit code {code}\n{text}\n", "utf-8")
            self.failed.append(run)
        ended.append(run)

    def command(self, run: QueuedRun) -> list[str]:
        """The words that train a run.

        Args:
            run: the run.
        """
        return [
            sys.executable, "-m", "mtl", "fit", *run.words(self.flags),
            "--runs_root", str(run.folder.parent), "--experiment", run.folder.name, "--name", run.name,
        ]  # fmt: skip

    def _watch(
        self,
        futures: Sequence[Future[None]],
        todo: list[QueuedRun],
        ended: list[QueuedRun],
        title: str,
        skipped: int,
    ) -> None:
        if not todo:
            return
        shown = 0
        live = Live(console=self.console, refresh_per_second=2) if self.console.is_terminal else None
        with live or nullcontext():
            running = True
            while running:
                over, waiting = wait(futures, timeout=0.2)
                running = bool(waiting)
                for future in over:
                    future.result()  # raises what the thread raised
                self._end_early()
                if live is not None:
                    live.update(self._table(todo, ended, title, skipped))
                for run in ended[shown:]:
                    shown += 1
                    if live is None:
                        place = f"{shown + skipped}/{len(todo) + skipped} {run.folder.name} {run.name}"
                        left = f"{self.left(len(todo) - shown)} left"
                        why = f" ({_reason(run.log)})" if run.state == "FAILED" else ""
                        self.console.print(f"{place}: {run.state}{why}, {left}", highlight=False, markup=False)

    def _end_early(self) -> None:
        with self._lock:
            for run, process in self._running.values():
                if run.fell_behind():
                    process.terminate()  # it saves its state, as after Ctrl-C

    def left(self, runs: int) -> str:
        """How long so many more runs take, from those that were trained here.

        Args:
            runs: how many.
        """
        if not self.seconds:
            return "unknown time"
        return duration(runs * sum(self.seconds) / len(self.seconds) / self.jobs)

    def _table(self, todo: list[QueuedRun], ended: list[QueuedRun], title: str, skipped: int) -> Table:
        finished = len(ended)
        head = f"{title}: {finished + skipped}/{len(todo) + skipped}, {len(self.failed)} failed, "
        table = Table("running", "for", title=head + f"{self.left(len(todo) - finished)} left", title_justify="left")
        with self._lock:
            for run, _ in self._running.values():
                table.add_row(f"{run.folder.name} {run.name}", _last_line(run.log))
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


def duration(seconds: float) -> str:
    """A duration in words.

    Args:
        seconds: how long.
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    # a cluster sends SIGTERM; it ends a queue as Ctrl-C does, and the runs save their state

    def end(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a background job of a script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _reason(log: Path) -> str:
    return printable(error_of(read_end(log, 4000)), 200)


def _last_line(log: Path) -> str:
    lines = read_end(log, 4000).strip().splitlines()
    return printable(lines[-1], 90) if lines else "starts"
