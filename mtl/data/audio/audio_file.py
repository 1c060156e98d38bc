"""One recording as a waveform: WAV without a package, FLAC and Ogg by the package `soundfile` (extra `audio`).

Shapes: T values, C channels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.data.audio.wav_file import read_wav, resample
from mtl.errors import import_optional

SUFFIXES = (".wav", ".flac", ".ogg")
MAX_SECONDS = 60.0


def read_audio(path: Path, rate: int, max_seconds: float = MAX_SECONDS) -> Tensor:
    """The waveform of a file, -1 to 1, float32 [T]: channels averaged, resampled to a rate.

    Args:
        path: the file; its suffix says its form.
        rate: values a second wanted, Hz.
        max_seconds: longest recording; a longer one is refused before its values are read.

    Raises:
        ValueError: naming the file, if it is of another form, damaged, cut short, empty or too long.
        ImportError: for FLAC and Ogg, if the extra is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".wav":
        return read_wav(path, rate, max_seconds)
    if suffix not in SUFFIXES:
        raise ValueError(f"{str(path)!r} is no recording that can be read; the forms are {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not there. Fetch the data again, or correct the table that names it.")
    soundfile: Any = import_optional("soundfile", "audio")
    try:
        with soundfile.SoundFile(str(path)) as file:
            own_rate, count = file.samplerate, file.frames
            if not count:
                raise ValueError(f"{str(path)!r} holds no sound. Leave the file out.")
            if count > max_seconds * own_rate:
                raise ValueError(
                    f"{str(path)!r} lasts {count / own_rate:.1f} s, more than {max_seconds:g} s. Cut it, or raise "
                    "`max_seconds`."
                )
            values_TC = file.read(dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        what = getattr(error, "error_string", str(error)).rstrip(".")
        raise ValueError(f"{str(path)!r} cannot be read: {what}. Leave the file out, or write it again.") from error
    if not np.isfinite(values_TC).all():
        raise ValueError(f"{str(path)!r} holds values that are not finite numbers. Leave the file out.")
    if len(values_TC) < count:
        raise ValueError(
            f"{str(path)!r} says that it holds {count} values and holds {len(values_TC)}: it is cut short. Leave the "
            "file out, or write it again."
        )
    return resample(torch.from_numpy(values_TC.mean(1)), own_rate, rate)


def recordings_below(folder: Path) -> list[Path]:
    """All files with the suffix of a recording below a folder, in order of their names; or the one file given.

    Args:
        folder: a folder, or one recording.
    """
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
