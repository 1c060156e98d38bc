"""One WAV file as a waveform: whole numbers of 8 to 32 bits and floating point, any channels and rate.

The chunks are read here: the `wave` module of Python 3.11 knows neither floating point nor the extensible header, which
most programs write for 24 bits, nor the length that a program writes into a pipe.
Source: Microsoft, "Multiple Channel Audio Data and WAVE Files" (header, extensible header).
Shapes: T values, C channels.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ADVICE = "Leave the file out, or write it again as a WAV file of 16 bits (PCM)."
_WHOLE, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_WHOLE: (1, 2, 3, 4), _FLOAT: (4, 8)}  # bytes of a value that can be read
_OTHERS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3"}
_OPEN = 0x7FFF0000  # a length from here on is what programs write into a pipe, before they know it


class _NoWave(Exception):
    """What is wrong with a file."""


@dataclass(frozen=True)
class _Form:
    kind: int  # whole numbers or floating point
    width: int  # bytes of a value
    channels: int
    rate: int


def read_wav(path: Path, rate: int, max_seconds: float = 60.0) -> Tensor:
    """The waveform of a file, -1 to 1, float32 [T]: channels averaged, resampled to a rate.

    Args:
        path: the file.
        rate: values a second wanted.
        max_seconds: longest recording; a longer one is refused before its values are read.

    Raises:
        ValueError: naming the file, if it is no such WAV file, cut short, empty or too long.
    """
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not there. Fetch the data again, or correct the table that names it.")
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            form, length = _header(file)
        except _NoWave as error:
            raise ValueError(f"{str(path)!r} cannot be read as WAV: {error}. {_ADVICE}") from error
        left = size - file.tell()
        block = form.width * form.channels
        count = (left if length >= _OPEN and length > left else length) // block
        if not count:
            raise ValueError(f"{str(path)!r} holds no sound. {_ADVICE}")
        if count > max_seconds * form.rate:
            raise ValueError(
                f"{str(path)!r} lasts {count / form.rate:.1f} s, more than {max_seconds:g} s. Cut it, or raise "
                "`max_seconds`."
            )
        data = file.read(count * block)
    if len(data) != count * block:
        raise ValueError(
            f"{str(path)!r} says that it holds {count} values and holds {len(data) // block}: it is cut short. "
            f"{_ADVICE}"
        )
    values_TC = _values(data, form).reshape(-1, form.channels)
    if not np.isfinite(values_TC).all():
        raise ValueError(f"{str(path)!r} holds values that are not finite numbers. {_ADVICE}")
    return resample(torch.from_numpy(values_TC.mean(1)), form.rate, rate)


def resample(wave_T: Tensor, own_rate: int, rate: int) -> Tensor:
    """A waveform at another rate, by its Fourier series; what lies above half the lower rate is left out.

    Args:
        wave_T: the waveform, float32.
        own_rate: its values a second.
        rate: values a second wanted.
    """
    if own_rate == rate:
        return wave_T
    length = max(1, round(len(wave_T) * rate / own_rate))
    spectrum = torch.fft.rfft(wave_T.double())
    kept = torch.zeros(length // 2 + 1, dtype=spectrum.dtype)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    moved_T: Tensor = torch.fft.irfft(kept, n=length) * (length / len(wave_T))
    return moved_T.float()


def _header(file: BinaryIO) -> tuple[_Form, int]:
    """The form of the values, and how many bytes of them the file says to hold; it stands at the first one then."""
    start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        raise _NoWave("it does not begin as a WAV file" if start else "it is empty")
    form: _Form | None = None
    while len(chunk := file.read(8)) == 8:
        name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"data":
            if form is None:
                raise _NoWave("its sound stands before its header")
            return form, length
        behind = file.tell() + length + length % 2  # chunks begin at even places
        if name == b"fmt ":
            form = _form(file.read(min(length, 40)))
        file.seek(behind)
    raise _NoWave(f"it ends after {file.seek(0, 2)} bytes, before its sound")


def _form(header: bytes) -> _Form:
    if len(header) < 16:
        raise _NoWave(f"its header has {len(header)} bytes, fewer than 16")
    kind, channels, rate, _, block, bits = struct.unpack("<HHIIHH", header[:16])
    if kind == _EXTENSIBLE and len(header) >= 26:
        kind = int.from_bytes(header[24:26], "little")
    if not channels or not rate:
        raise _NoWave(f"it has {channels} channels and {rate} values a second")
    width = block // channels or -(-bits // 8)
    if width not in _WIDTHS.get(kind, ()):
        what = {_WHOLE: "whole numbers", _FLOAT: "floating point"}.get(kind, _OTHERS.get(kind, f"of form {kind:#x}"))
        raise _NoWave(f"its values are {what} of {8 * width} bits")
    return _Form(kind, width, channels, rate)


def _values(data: bytes, form: _Form) -> NDArray[np.float32]:
    width = form.width
    if form.kind == _FLOAT:
        return np.frombuffer(data, f"<f{width}").astype(np.float32)
    if width == 1:  # 8 bits have no sign
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = padded.tobytes(), 4
    values: NDArray[np.float32] = np.frombuffer(data, f"<i{width}").astype(np.float32)
    values *= np.float32(math.ldexp(1, 1 - 8 * width))
    return values
