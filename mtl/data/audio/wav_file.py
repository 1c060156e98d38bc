"""One WAV file as a waveform, by the standard library: 8, 16, 24 and 32 bits, any channels and rate.

Shapes: T values, C channels.
"""

import math
import wave
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ADVICE = "Leave the file out, or write it again as a WAV file of whole numbers (PCM)."


def read_wav(path: Path, rate: int, max_seconds: float = 60.0) -> Tensor:
    """The waveform of a file, -1 to 1, float32 [T]: channels averaged, resampled to a rate.

    Args:
        path: the file.
        rate: values a second wanted, Hz.
        max_seconds: longest recording.

    Raises:
        ValueError: naming the file, if it is no WAV file of whole numbers, cut short, empty or too long.
    """
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not there. Fetch the data again, or correct the table that names it.")
    try:
        with wave.open(str(path)) as file:
            channels, width, own_rate, count = file.getparams()[:4]
            if not count:
                raise ValueError(f"{str(path)!r} holds no sound. {_ADVICE}")
            if count > max_seconds * own_rate:
                raise ValueError(
                    f"{str(path)!r} lasts {count / own_rate:.1f} s, more than {max_seconds:g} s. Cut it, or raise "
                    "`max_seconds`."
                )
            data = file.readframes(count)
    except (wave.Error, EOFError) as error:
        what = str(error) or f"it ends after {path.stat().st_size} bytes"
        raise ValueError(f"{str(path)!r} cannot be read as WAV: {what}. {_ADVICE}") from error
    if len(data) != count * channels * width:
        raise ValueError(
            f"{str(path)!r} says that it holds {count} values and holds {len(data) // (channels * width)}: it is cut "
            f"short. {_ADVICE}"
        )
    values_TC = _values(data, width).reshape(-1, channels)
    return resample(torch.from_numpy(values_TC.mean(1)), own_rate, rate)


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


def _values(data: bytes, width: int) -> NDArray[np.float32]:
    if width == 1:  # 8 bits have no sign
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = padded.tobytes(), 4
    values: NDArray[np.float32] = np.frombuffer(data, f"<i{width}").astype(np.float32)
    values *= np.float32(math.ldexp(1, 1 - 8 * width))
    return values
