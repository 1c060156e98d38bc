"""The folder of one run, `runs/<experiment>/<name>/`: made once, never shared with another run, known to every rank."""

import hashlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from mtl.config.foreign_files import UnsafeFile
from mtl.config.paths import refuse_name
from mtl.runs import torchrun

ENV = "MTL_RUN_DIR"
_WAIT_S = 120.0
_made = 0  # run folders of this process
_WORDS = (
    "amber", "azure", "bold", "brave", "bright", "brisk", "calm", "clear", "cobalt", "coral", "crisp", "eager", "fair",
    "fine", "fleet", "fresh", "gentle", "glad", "golden", "green", "keen", "kind", "lively", "lucid", "mellow", "merry",
    "mild", "neat", "noble", "olive", "proud", "quick", "quiet", "rapid", "rosy", "ruby", "sharp", "silver", "sleek",
    "solid", "steady", "still", "sunny", "swift", "tidy", "vivid", "warm", "wise", "witty", "young",
)  # fmt: skip


def make_run_folder(runs_root: Path, experiment: str, name: str | None) -> Path:
    """A new folder for this run; every process of one launch gets the same.

    Args:
        runs_root: folder of all experiments.
        experiment: folder of this experiment.
        name: name of the run; time and a word by default. A taken name gets `-2`, `-3`, ...

    Raises:
        ValueError: if a name cannot be the name of a folder.
        TimeoutError: if the first process of the launch does not say its folder in time.
    """
    check_names(experiment, name)
    owner, _, given = os.environ.get(ENV, "").partition(":")
    if given and "LOCAL_RANK" in os.environ and owner != str(os.getpid()):
        return Path(given)

    def make() -> str:
        wanted = name or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.choice(_WORDS)}"
        return str(claim(runs_root / experiment, wanted).resolve())

    folder = Path(_agree(make, runs_root))
    # the processes that Lightning starts from here inherit it; a second run in this one must not
    os.environ[ENV] = f"{os.getpid()}:{folder}"
    return folder


def earlier_attempt(runs_root: Path) -> Path | None:
    """The run folder of this launch before torchrun or SLURM started it again; None at the first attempt.

    Ask before `make_run_folder`.

    Args:
        runs_root: folder of all experiments.
    """
    if torchrun.started_by_torchrun():
        if torchrun.attempt() == 0:
            return None
        if _made == 0:
            torchrun.forget_dead_processes(rank())
        store = torchrun.store()
        for attempt in reversed(range(torchrun.attempt())):
            if store.check([_key(attempt, _made)]):
                return Path(store.get(_key(attempt, _made)).decode())
    elif _in_slurm_job():
        for attempt in reversed(range(int(os.environ.get("SLURM_RESTART_COUNT", "0")))):
            if (file := _slurm_file(runs_root, attempt, _made)).is_file():
                return Path(file.read_text())
    return None


def check_names(experiment: str, name: str | None) -> None:
    """Refuse a name that cannot be the name of a folder.

    Args:
        experiment: name of the experiment.
        name: name of the run.

    Raises:
        ConfigError: if it has a slash, a blank or the like.
    """
    for what, word in (("experiment", experiment), ("name", name)):
        if word is not None:
            refuse_name(what, word)


def claim(parent: Path, name: str) -> Path:
    """Create a folder that did not exist; making it is the lock, so two runs never get the same.

    Args:
        parent: where to create it.
        name: the name wanted; the folder may be called `<name>-2`.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError) as error:
        raise ValueError(f"{str(error.filename)!r} is to be a folder of runs, and a file is in its place.") from error
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def remove_claimed(folder: Path) -> None:
    """Delete what `claim` made, and the folders above it (of the experiment, of all runs) if they are empty then.

    Args:
        folder: of a run that has not begun.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


def discard(folder: Path, *marks: str) -> None:
    """Delete the folder of a run, so that it can be trained anew.

    Args:
        folder: the folder; it may be missing.
        marks: names of files by which it is known as one, beside `config.yaml`.

    Raises:
        UnsafeFile: if it is something else.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    known = [mark for mark in ("config.yaml", *marks) if (folder / mark).is_file()]
    if folder.is_symlink() or not folder.is_dir() or not (known or next(folder.iterdir(), None) is None):
        raise UnsafeFile(f"{str(folder)!r} is in the way, and no folder of a run of ours. Move it away.")
    shutil.rmtree(folder)


def rank() -> int:
    """Number of this process among all of a launch, before torch.distributed knows it."""
    for variable in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if variable == "SLURM_PROCID" and os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
            continue
        if os.environ.get(variable, "").isdigit():
            return int(os.environ[variable])
    return 0


def started_from_outside() -> bool:
    """Whether torchrun or SLURM has started all processes of this launch, not Lightning from the first one."""
    return torchrun.started_by_torchrun() or _in_slurm_job()


def _agree(make: Callable[[], str], runs_root: Path) -> str:
    """What the first process makes, in every process that an outside launcher started."""
    global _made
    number, _made = _made, _made + 1
    if torchrun.started_by_torchrun():
        store, key = torchrun.store(), _key(torchrun.attempt(), number)
        if rank() == 0:
            store.set(key, make())
        return str(store.get(key).decode())
    if _in_slurm_job():
        file = _slurm_file(runs_root, int(os.environ.get("SLURM_RESTART_COUNT", "0")), number)
        return _agree_by_file(make, file)
    return make()


def _in_slurm_job() -> bool:
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "SLURM_JOB_ID" in os.environ and "SLURM_PROCID" in os.environ and not interactive


def _key(attempt: int, number: int) -> str:
    return f"mtl/run_dir/{attempt}/{number}"


def _slurm_file(runs_root: Path, attempt: int, number: int) -> Path:
    # a job may hold several commands
    command = hashlib.sha1(" ".join(sys.argv[1:]).encode()).hexdigest()[:8]
    job, step = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_STEP_ID", "0")
    return runs_root / f".slurm-{job}-{step}-{command}-{attempt}-{number}"


def _agree_by_file(make: Callable[[], str], file: Path) -> str:
    if rank() == 0:
        folder = make()
        part = file.with_suffix(".part")
        part.write_text(folder)
        part.replace(file)  # whole or not at all
        return folder
    start = time.monotonic()
    while not file.is_file():
        if time.monotonic() - start > _WAIT_S:
            raise TimeoutError(f"the first process has not made its run folder within {_WAIT_S:.0f} s ({file}).")
        time.sleep(0.2)
    return file.read_text()
