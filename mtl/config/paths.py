"""Paths as people write them, `~` and `$VAR` included, and names that become folders or files of a run."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError, KeyPath, Origin

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")
_NAME = re.compile(r"[\w+=@][\w.+=@-]*")
_NO_NAME = re.compile(r"[^\w.+=@-]+")
_MOST_OF_PATH = 4_000
_MOST_LETTERS = 120  # file systems take 255 bytes, and pictures and numbers are added
# of a checkpoint or a profile: one name, in which numbers of the run may stand, as `{step}` or `{val/score:.3f}`
_FILE_NAME = re.compile(r"(?![-.])(?:[\w.+=@ -]|\{[\w/]+(?::(?:0\d{1,2}d|\.\d{1,2}f))?\}){1,120}")
_NAMES = ("filename_suffix", "name", "report_csv", "sub_dir")  # settings that become part of a name in a run's folder


def expanded(text: str) -> str:
    """A path with `~` and `$VAR` replaced, as a shell does.

    Args:
        text: the path as typed; an address (`s3://...`) is left as it is.

    Raises:
        ValueError: for a variable that is not set, a user who does not exist, or letters that no path has.
    """
    if len(text) > _MOST_OF_PATH or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError(f"path {text!r:.100} holds letters that no path does, or is longer than {_MOST_OF_PATH}.")
    if "://" in text:
        return text
    for variable in _VARIABLE.findall(text):
        if variable.strip("{}") not in os.environ:
            raise ValueError(f"path {text!r} names a variable {variable.strip('{}')!r} that is not set in this shell.")
    path = os.path.expanduser(os.path.expandvars(text))
    if path.startswith("~"):
        raise ValueError(f"path {text!r} begins with '~', and there is no such user here. Write the whole path.")
    return path


def path(text: str) -> Path:
    """A path of the command line.

    Args:
        text: the path as typed.

    Raises:
        ValueError: as `expanded`.
    """
    return Path(expanded(text))


def is_name(text: str) -> bool:
    """Whether a text can be the name of a folder or a file of ours: no separator, no leading `-` or `.`, not too long.

    Args:
        text: the name.
    """
    return len(text) <= _MOST_LETTERS and _NAME.fullmatch(text) is not None


def as_name(text: str) -> str:
    """The name of a folder of ours that is nearest to a text: `my set (2)` becomes `my_set_2`.

    Args:
        text: such as the name of a file, without its extension.
    """
    if is_name(text):
        return text
    plain = "_".join(_NO_NAME.split(unicodedata.normalize("NFC", text)))
    return plain.strip("_").lstrip("-.")[:_MOST_LETTERS] or "default"


def refuse_name(what: str, text: str, origin: Origin | None = None) -> None:
    """Refuse what cannot be the name of a folder of ours.

    Args:
        what: what has the name, for the message.
        text: the name.
        origin: where it was written.

    Raises:
        ConfigError: saying what a name may look like.
    """
    if not text or not is_name(text):
        raise ConfigError(
            f"{what}={text!r:.200} becomes the name of a folder; use at most {_MOST_LETTERS} letters, digits and any "
            "of _ . + = @ - (not . or - at the start).",
            origin,
        )


def refuse_outside(where: KeyPath, value: Any, is_path: bool, origin: Origin | None = None) -> None:
    """Refuse a setting by which a run would write outside of its folder, or to an address.

    Where runs and checkpoints lie is for the user to say: `runs_root`, `checkpoint.dirpath`, `save_dir` of a logger.

    Args:
        where: the setting, keys from the top.
        value: its value.
        is_path: whether its type is a path.
        origin: where it was written.

    Raises:
        ConfigError: saying what may stand there.
    """
    key, reason = where[-1], ""
    of_run = where[0] in ("trainer", "checkpoint")
    text = str(value) if isinstance(value, str | Path) else ""
    if value is None:
        return
    if (is_path or of_run) and ("://" in text or "::" in text):
        reason = "must be a folder of this machine, not an address"
    elif where[0] == "trainer" and (key == "version" or (is_path and key != "save_dir")):
        reason = "is set by the run itself, which writes into its own folder: leave it out"
    elif of_run and key == "filename" and not _FILE_NAME.fullmatch(text):
        reason = "is a file in the run's folder: one name, with numbers such as {step:06d} or {val/score:.3f}"
    elif key in _NAMES and (of_run or key == "report_csv") and text and not is_name(text):
        reason = "is a name in the run's folder: letters, digits and any of _ . + = @ -"
    if reason:
        raise ConfigError(f"`{'.'.join(where)}` {reason}; found {value!r:.200}.", origin)
