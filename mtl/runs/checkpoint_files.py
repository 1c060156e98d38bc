"""Checkpoint files: read without running code in them, checked byte for byte, and the newest good one of a folder."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mtl.errors import did_you_mean


def checkpoint_file(path: str | Path) -> Path:
    """The path of a checkpoint that exists on this machine.

    Args:
        path: what the user named.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is an address.
    """
    if "://" in str(path):
        raise ValueError(f"checkpoint {str(path)!r} is an address; download it, check it, and give the file.")
    file = Path(path)
    if not file.is_file():
        there = sorted(other.name for other in file.parent.glob("*.ckpt"))
        listed = f" {str(file.parent)!r} holds {', '.join(there)}." if there else ""
        raise FileNotFoundError(f"there is no checkpoint {str(path)!r}.{did_you_mean(file.name, there)}{listed}")
    return file


def find_checkpoint(run_dir: str | Path, checkpoint: str = "best") -> Path:
    """The path of a checkpoint in a run folder.

    Args:
        run_dir: folder of the run.
        checkpoint: `best`, `last`, or the name of another file in `checkpoints/`.

    Raises:
        FileNotFoundError: with what is there instead.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        near = did_you_mean(folder.name, [other.name for other in folder.parent.glob("*/")] if folder.name else [])
        raise FileNotFoundError(f"there is no run folder {str(folder)!r}.{near}")
    name = checkpoint if checkpoint.endswith(".ckpt") else f"{checkpoint}.ckpt"
    path = folder / "checkpoints" / name
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.ckpt"))
        found = f"it has {', '.join(there)}." if there else "it has none. Did the run stop before its first validation?"
        raise FileNotFoundError(f"run {str(folder)!r} has no checkpoint {name!r}; {found}")
    return path


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, plain values and tensors only: no code in the file is run.

    Every byte is compared with the checksums in the file, which torch itself does not do: a flipped bit in a weight
    would load in silence.

    Args:
        path: a local file.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is an address, is damaged, holds code, or is no checkpoint; it says which checkpoint beside
            it is good.
    """
    path = checkpoint_file(path)
    try:
        return _read(path)
    except ValueError as error:
        other = newest_good(path.parent, but=path)
        if other is None:
            raise
        raise ValueError(f"{error} The newest good one beside it is {str(other[0])!r}, of step {other[1]}.") from error


def newest_good(folder: Path, but: Path | None = None, complete: bool = False) -> tuple[Path, int] | None:
    """The checkpoint of a folder that was trained longest and is whole, and its step; None without one.

    Which is newest is told by the steps in the files: clocks jump.

    Args:
        folder: where to look.
        but: one not to look at.
        complete: only those that training can continue from.
    """
    steps = {}
    for path in folder.glob("*.ckpt"):
        if path.is_file() and (but is None or path.name != but.name):
            try:
                steps[path] = _peek(path, complete)
            except ValueError:
                continue
    # at one step `last` comes first: it is written last
    for path in sorted(steps, key=lambda path: (steps[path], path.stem == "last"), reverse=True):
        try:
            _check_bytes(path)
        except ValueError:
            continue
        return path, steps[path]
    return None


def _peek(path: Path, complete: bool) -> int:
    state = _load(path, mmap=zipfile.is_zipfile(path))
    if complete and "optimizer_states" not in state:
        raise ValueError(f"checkpoint {str(path)!r} holds weights only.")
    return int(state.get("global_step", 0))


def _read(path: Path) -> dict[str, Any]:
    _check_bytes(path)
    return _load(path)


def _check_bytes(path: Path) -> None:
    if not zipfile.is_zipfile(path):  # cut off, or of a very old torch: the loader tells
        return
    try:
        with zipfile.ZipFile(path) as archive:
            # torch stores; what unpacks to more than the file holds was not written by it
            packed = next(
                (entry.filename for entry in archive.infolist() if entry.file_size > entry.compress_size), None
            )
            broken = archive.testzip() if packed is None else None
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if packed is not None:
        raise _damaged(path, f"{packed!r} in it is compressed, which torch never does")
    if broken is not None:
        raise _damaged(path, f"the checksum of {broken!r} is wrong")


def _load(path: Path, mmap: bool = False) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():  # about pickles of other programs, which are refused
            warnings.simplefilter("ignore", UserWarning)
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        detail = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        raise ValueError(
            f"checkpoint {str(path)!r} is damaged, or holds Python objects that could run code; only plain values are "
            f"read. {detail.strip().partition(' was not an')[0]}"
        ) from error
    except (RuntimeError, EOFError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error).split(". ")[0].split("\n")[0]) from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise ValueError(f"{str(path)!r} is not a Lightning checkpoint: it has no 'state_dict'.")
    return state


def _damaged(path: Path, reason: str) -> ValueError:
    size = path.stat().st_size
    return ValueError(f"checkpoint {str(path)!r} ({size:,} bytes) is damaged or no checkpoint: {reason}.")
