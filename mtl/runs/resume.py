"""Resume an interrupted run in its own folder: from which checkpoint, and with nobody else in it."""

import logging
import os
import platform
import weakref
from pathlib import Path

from mtl.config.foreign_files import own_folder
from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.runs.checkpoint_files import newest_good, read_checkpoint
from mtl.runs.metrics_csv import read_series

_log = logging.getLogger(__name__)


def resume_point(run: Path, folder: Path | None = None) -> Path | None:
    """The newest good checkpoint of a run to resume from; None if it was interrupted before the first.

    Args:
        run: the run folder.
        folder: of its checkpoints; `checkpoints` in it by default.

    Raises:
        ConfigError: if it is no run folder.
        UnsafeFile: if what is written there would land elsewhere, or its numbers are damaged.
        ValueError: if every checkpoint is damaged.
    """
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"{str(run)!r} is no run folder: it has no config.yaml. Give --resume runs/EXPERIMENT/NAME.")
    folder = folder or run / "checkpoints"
    for root in (run, folder):
        own_folder(root)
    if (run / "metrics.csv").is_file():
        read_series(run / "metrics.csv")  # it is continued, and drawn at the end
    found = newest_good(folder, complete=True)
    last = folder / "last.ckpt"
    if last.is_file() and (found is None or found[0] != last):
        try:
            read_checkpoint(last)
        except ValueError as error:
            if found is None:
                raise
            _log.warning("%s It is taken.", error)
    if found is None:
        _log.warning("%s has no checkpoint yet; the run begins anew in it.", run)
        return None
    _log.info(
        "resumes from %s, step %d", found[0].relative_to(run) if found[0].is_relative_to(run) else found[0], found[1]
    )
    return found[0]


def saved_checkpoints(run: Path) -> Path:
    """The folder of checkpoints that a run's saved config names; it must be inside the run's folder.

    Args:
        run: the run folder.

    Raises:
        ConfigError: if they are elsewhere, which only the user can confirm.
    """
    inside = run / "checkpoints"
    if not (run / "config.yaml").is_file():
        return inside
    section = read_yaml(run / "config.yaml").get("checkpoint")
    said = section.get("dirpath") if isinstance(section, dict) else None
    if said is None:
        return inside
    if not isinstance(said, str) or not Path(said).resolve().is_relative_to(run.resolve()):
        raise ConfigError(
            f"the config of {str(run)!r} keeps its checkpoints elsewhere, in {said!r:.200}. If they are this run's, "
            "say so: --checkpoint.dirpath FOLDER."
        )
    return Path(said)


def refuse_used(folder: Path) -> None:
    """Refuse a folder of checkpoints that is another run's: they would be replaced.

    Args:
        folder: where a new run is to keep its own.

    Raises:
        ConfigError: if there are some.
    """
    if there := sorted(folder.glob("*.ckpt")):
        raise ConfigError(
            f"checkpoint.dirpath {str(folder)!r} holds checkpoints of another run, such as {there[0].name!r}, which "
            "this one would replace. Give it an empty folder."
        )


class RunLock:
    """Locks a run folder for this process; the lock ends with this object or with the process.

    Args:
        run: the run folder.

    Raises:
        ConfigError: if another process trains there.
    """

    def __init__(self, run: Path) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        path = run / ".lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        weakref.finalize(self, os.close, file)
        try:
            # of the process, not of the open file: the loader's processes do not inherit it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(file, 1000).decode(errors="replace").strip() or "another process"
            raise ConfigError(
                f"run folder {str(run)!r} is in use by {owner}. Wait for it, or stop it. If that machine died, delete "
                f"{str(path)!r}."
            ) from error
        except OSError:  # this file system knows no locks
            return
        os.ftruncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node() or 'this machine'}\n".encode())


def is_in_use(run: Path) -> bool:
    """Whether another process trains in a run folder; nothing is written there.

    Args:
        run: the folder, which may not be there.
    """
    try:
        import fcntl

        file = os.open(run / ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (ImportError, OSError):  # Windows; no lock, a link in its place, or a folder that we may not read
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # this file system knows no locks
        return False
    finally:
        os.close(file)
    return False
