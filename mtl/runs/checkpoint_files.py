"""Checkpoint files: read without running code in them, checked byte for byte, and the newest good one of a folder."""

import logging
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.config.foreign_files import UnsafeFile
from mtl.errors import did_you_mean, printable
from mtl.runs.checkpoint_pickle import MOST_BYTES, check_values, foreign_name
from mtl.runs.metrics_csv import read_series
from mtl.runs.safetensors_file import read_safetensors

_log = logging.getLogger(__name__)


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
        if file.is_dir():
            raise FileNotFoundError(
                f"checkpoint {str(path)!r} is a folder. Give a file, such as {str(file / 'checkpoints/best.ckpt')!r}, "
                "or the folder of a run by --run."
            )
        there = sorted(other.name for other in file.parent.glob("*.ckpt"))
        listed = f" {str(file.parent)!r} holds {', '.join(there)}." if there else ""
        raise FileNotFoundError(f"there is no checkpoint {str(path)!r}.{did_you_mean(file.name, there)}{listed}")
    return file


def find_checkpoint(run_dir: str | Path, checkpoint: str = "best") -> Path:
    """The path of a checkpoint in a run folder.

    Args:
        run_dir: folder of the run.
        checkpoint: `best`, `last`, or the name of another file in `checkpoints/`. Of a run that was never validated,
            and so has no best one, `best` is the last one, with a warning.

    Raises:
        FileNotFoundError: with what is there instead.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        near = did_you_mean(folder.name, [other.name for other in folder.parent.glob("*/")] if folder.name else [])
        raise FileNotFoundError(f"there is no run folder {str(folder)!r}.{near} `python -m mtl runs` lists yours.")
    if not (folder / "config.yaml").is_file() and not (folder / "checkpoints").is_dir():
        raise FileNotFoundError(
            f"{str(folder)!r} is no run folder: it has neither config.yaml nor checkpoints. `python -m mtl runs` lists "
            "yours."
        )
    name = checkpoint if checkpoint.endswith(".ckpt") else f"{checkpoint}.ckpt"
    path = folder / "checkpoints" / name
    if not path.is_file():
        last = path.with_name("last.ckpt")
        if checkpoint == "best" and last.is_file() and _never_validated(folder / "metrics.csv"):
            _log.warning("%s was never validated, so it has no best.ckpt: last.ckpt is taken.", folder)
            return last
        there = sorted(file.stem for file in path.parent.glob("*.ckpt"))
        found = "it has none. Did the run stop before its first validation?"
        if there:
            found = f"it has {', '.join(there)}: name one (test, predict: --ckpt_path, others: --checkpoint)."
        raise FileNotFoundError(f"run {str(folder)!r} has no checkpoint {name!r}; {found}")
    return path


def _never_validated(metrics: Path) -> bool:
    """Whether a run's table is there and has no number of a validation."""
    try:
        return not any(name.startswith("val/") for name in read_series(metrics))
    except (OSError, UnsafeFile):
        return False


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, plain values and tensors only: no code in the file is run.

    Every byte is compared with the checksums in the file, which torch itself does not do: a flipped bit in a weight
    would load in silence.

    Args:
        path: a local file.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is an address.
        UnsafeFile: if it is damaged, holds code, or is no checkpoint; it says which checkpoint beside it is good.
    """
    path = checkpoint_file(path)
    try:
        return _read(path)
    except UnsafeFile as error:
        other = newest_good(path.parent, but=path)
        if other is None:
            raise
        raise UnsafeFile(f"{error} The newest good one beside it is {str(other[0])!r}, of step {other[1]}.") from error


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a checkpoint, or of a plain file of weights: `torch.save(model.state_dict(), file)`, safetensors.

    Args:
        path: a local file; read as safely as `read_checkpoint` does.

    Returns:
        Tensors by name, and what else a checkpoint of a training loop holds.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is an address.
        UnsafeFile: if it is damaged, holds code, or no tensors by name.
    """
    path = checkpoint_file(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path), {}
    if path.suffix == ".ckpt":
        state: Any = read_checkpoint(path)
    else:
        _check_bytes(path)
        state = _load_values(path)
    inside = [key for key, value in state.items() if _is_weights(value)] if isinstance(state, dict) else []
    if not inside:
        return _weights(path, state, "it"), {}
    # of Lightning, and of many training scripts; other scripts have words of their own, such as `model_state_dict`
    key = next((key for key in ("state_dict", "model") if key in inside), inside[0])
    if len(inside) > 1:
        if key not in ("state_dict", "model"):
            raise UnsafeFile(
                f"{str(path)!r} holds several sets of weights: {printable(', '.join(map(str, inside)), 200)}. Save the "
                "one that you want in a file of its own: torch.save(content[KEY], 'weights.pth')."
            )
        others = printable(", ".join(str(other) for other in inside if other != key), 200)
        _log.info("%s: its %r is taken, and not %s", path, key, others)
    return state[key], {k: v for k, v in state.items() if k != key}


def newest_good(folder: Path, but: Path | None = None, complete: bool = False) -> tuple[Path, int] | None:
    """The undamaged checkpoint of a folder with the most steps, and its step; None without one.

    The steps in the files say which is newest: clocks jump.

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
    state = _load(path, peek=True)
    if complete and "optimizer_states" not in state:
        raise ValueError(f"checkpoint {str(path)!r} holds weights only.")
    return int(state.get("global_step", 0))


def _read(path: Path) -> dict[str, Any]:
    _check_bytes(path)
    return _load(path)


def _check_bytes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores; what unpacks to more than the file holds, or shares bytes, was not written by it
            packed = next((entry.filename for entry in entries if entry.file_size > entry.compress_size), None)
            shared = len({entry.filename for entry in entries}) < len(entries)
            shared |= sum(entry.compress_size for entry in entries) > path.stat().st_size
            broken = archive.testzip() if packed is None and not shared else None
    except zipfile.BadZipFile as error:
        if not _begins_as_archive(path):
            raise _refused(path, "It is no archive, as torch has written them since 1.6.") from error
        raise _damaged(path, str(error)) from error
    except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    if packed is not None:
        raise _damaged(path, f"{packed!r} in it is compressed, which torch never does")
    if shared:
        raise _damaged(path, "its entries share names or bytes, which torch never writes")
    if broken is not None:
        raise _damaged(path, f"the checksum of {broken!r} is wrong")


def _begins_as_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _load(path: Path, peek: bool = False) -> dict[str, Any]:
    """The content of a checkpoint of a training loop."""
    state = _load_values(path, peek)
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        raise UnsafeFile(f"{str(path)!r} is not a Lightning checkpoint: it has no 'state_dict'.")
    try:
        _weights(path, state["state_dict"], "its 'state_dict'")
    except _NoNames as error:
        raise UnsafeFile(f"{str(path)!r} is not a Lightning checkpoint: it has no 'state_dict'.") from error
    step = state.get("global_step", 0)
    if not isinstance(step, int) or not 0 <= step < 2**62:
        raise _damaged(path, "its 'global_step' is no step")
    found: dict[str, Any] = state
    return found


def _weights(path: Path, weights: Any, what: str) -> dict[str, Tensor]:
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise _NoNames(f"{str(path)!r} is no file of weights: {what} does not hold tensors by name.")
    if not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise _damaged(path, f"{what} holds more than tensors")
    return weights


def _is_weights(value: Any) -> bool:
    named = isinstance(value, dict) and value
    return bool(named) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


class _NoNames(UnsafeFile):
    """A file that does not hold tensors by name."""


def _load_values(path: Path, peek: bool = False) -> Any:
    """The content; to peek, with tensors that are mapped from the file instead of read."""
    try:
        _refuse_code(path)
        state = _unpickle(path, mmap=True)
        # before anything is read: a size that only the file says may ask for any amount of memory
        check_values(state, path.stat().st_size)
        state = state if peek else _unpickle(path, mmap=False)
    except pickle.UnpicklingError as error:
        detail = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        raise _refused(path, detail.strip().partition(" was not an")[0]) from error
    except _HoldsCode as error:
        raise _refused(path, str(error)) from error
    except Exception as error:  # of what hostile bytes lead torch to
        raise _damaged(path, printable(str(error).split(". ")[0].split("\n")[0], 200)) from error
    return state


class _HoldsCode(Exception):
    """A checkpoint names what tensors and plain values do not need."""


def _refuse_code(path: Path) -> None:
    # by torch's own reader, so that what is looked at is what is loaded
    archive = torch._C.PyTorchFileReader(str(path))
    if (size := archive.get_record_size("data.pkl") if hasattr(archive, "get_record_size") else 0) > MOST_BYTES:
        raise ValueError(f"its pickle has {size:,} bytes")
    if (name := foreign_name(archive.get_record("data.pkl"))) is not None:
        raise _HoldsCode(f"It names {printable(name, 100)}.")


def _unpickle(path: Path, mmap: bool) -> Any:
    with warnings.catch_warnings():  # about pickles of other programs, which are refused
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def _refused(path: Path, detail: str) -> UnsafeFile:
    return UnsafeFile(
        f"checkpoint {str(path)!r} is damaged, or holds Python objects that could run code; only plain values are "
        f"read. {detail} Give a file of a run, such as runs/EXPERIMENT/NAME/checkpoints/best.ckpt; of a network "
        "of your own save the weights alone: torch.save(network.state_dict(), 'weights.pth')."
    )


def _damaged(path: Path, reason: str) -> UnsafeFile:
    size = path.stat().st_size
    return UnsafeFile(f"checkpoint {str(path)!r} ({size:,} bytes) is damaged or no checkpoint: {reason}.")
