"""`AtomicCheckpointIO`: a checkpoint is complete or absent; the one before stays until then."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from mtl import __version__
from mtl.runs.checkpoint_files import read_checkpoint
from mtl.runs.checkpoint_fit import VERSION

_PART = ".part"  # of a file that is not whole yet; it starts with a dot as well


class CheckpointWriteError(RuntimeError):
    """A checkpoint could not be written: the disk is full, or the folder takes no files."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its place, forces it to the disk and renames it; reads plain values only.

    Lightning's own writes in place from a copy in memory: a kill on the way leaves half a file where the last good one
    was. This one needs no copy. Give it to a `Trainer` as a plugin; `python -m mtl fit` does.
    """

    def __init__(self) -> None:
        self._swept: set[Path] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        if storage_options is not None:
            raise TypeError("storage_options are for addresses; checkpoints are written to local files only.")
        if "://" in str(path):
            raise ValueError(f"checkpoint {str(path)!r} is an address; give a folder of this machine.")
        path = Path(path)
        if path.parent not in self._swept:
            self._swept.add(path.parent)
            sweep(path.parent)
        try:
            write_whole(path, lambda file: torch.save({**checkpoint, VERSION: __version__}, file))
        except (OSError, RuntimeError) as error:
            raise _explain(path, error) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        # whatever was asked for: no code of the file is run
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        path = Path(path)
        # a callback's state may come from a checkpoint, and name anything
        if path.suffix == ".ckpt" and (path.is_file() or path.is_symlink()):
            path.unlink()


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file that replaces the one of its name only when it is complete and on the disk.

    Args:
        path: the file.
        write: gets an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{_PART}")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove the partial files of killed runs.

    Args:
        folder: a folder of checkpoints.
    """
    for part in folder.glob(f".*.ckpt{_PART}"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name must survive a power cut too."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(handle)


def _explain(path: Path, error: BaseException) -> CheckpointWriteError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):  # torch's writer wraps what the disk said
        cause = cause.__cause__ or cause.__context__
    folder = next(parent for parent in path.parents if parent.exists())
    reason = (cause.strerror if cause is not None else None) or str(cause or error)
    wanted = ""
    if isinstance(cause, OSError) and cause.errno == errno.EFBIG:
        wanted = " The disk or `ulimit -f` allows no file of that size. Lift that limit"
    elif isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        wanted = f" {shutil.disk_usage(folder).free / 2**20:,.0f} MiB are free. Make room"
    elif isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        wanted = f" Make {str(folder)!r} writable"
    stays = "The one before is untouched" if path.exists() else "There was none before"
    then = f"{wanted or ' Fix that'}, then continue with `fit --resume`."
    return CheckpointWriteError(f"cannot write checkpoint {str(path)!r}: {reason}. {stays}.{then}")
