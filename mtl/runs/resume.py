"""Going on with an interrupted run in its own folder: from which checkpoint, and with nobody else in it."""

import logging
import os
import platform
import weakref
from pathlib import Path

from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.runs.checkpoint_files import newest_good, read_checkpoint

_log = logging.getLogger(__name__)


def resume_point(run: Path) -> Path | None:
    """The newest good checkpoint of a run that training can go on from; None if it was interrupted before the first.

    Args:
        run: the run folder.

    Raises:
        ConfigError: if it is no run folder.
        ValueError: if every checkpoint is damaged.
    """
    config = run / "config.yaml"
    if not config.is_file():
        raise ConfigError(f"{str(run)!r} is no run folder: it has no config.yaml. Give --resume runs/EXPERIMENT/NAME.")
    refuse_links(run)
    chosen = read_yaml(config).get("checkpoint") or {}
    folder = Path(chosen.get("dirpath") or run / "checkpoints")
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
        "goes on from %s, step %d", found[0].relative_to(run) if found[0].is_relative_to(run) else found[0], found[1]
    )
    return found[0]


def refuse_links(folder: Path) -> None:
    """Refuse a folder in which a file is a link: what is written there would be written to another place.

    Args:
        folder: a run folder, or a folder of a report.

    Raises:
        ConfigError: naming the first link.
    """
    for path in sorted(
        [*folder.glob("*"), *folder.glob(".*"), *folder.glob("checkpoints/*"), *folder.glob("pictures/*")]
    ):
        if path.is_symlink() and not path.is_dir():
            raise ConfigError(
                f"{str(path)!r} is a link to {os.readlink(path)!r}. Put the file itself there, or delete it."
            )


class RunLock:
    """A run folder taken for this process; the lock goes with this object or the process, however that ends.

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
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
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
    """Whether another process trains in a run folder.

    Args:
        run: the folder, which may not be there.
    """
    if not (run / ".lock").is_file():
        return False
    try:
        RunLock(run)
    except ConfigError:
        return True
    return False
