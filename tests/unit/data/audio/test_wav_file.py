"""WAV files of every width, channels and rate, and what is none."""

import math
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.data.audio.wav_file import read_wav, resample

RATE = 8000


def write(path: Path, values: np.ndarray, width: int = 2, channels: int = 1, rate: int = RATE) -> Path:
    whole = np.round(values * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
    data = b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in whole.ravel())
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(data)
    return path


def tone(rate: int, seconds: float = 0.1) -> np.ndarray:
    return 0.5 * np.sin(2 * math.pi * 440 * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_gives_the_same_values(width: int, tmp_path: Path) -> None:
    found = read_wav(write(tmp_path / "a.wav", tone(RATE), width), RATE)
    torch.testing.assert_close(
        found, torch.from_numpy(tone(RATE)).float(), atol=2.0 ** (1 - 8 * min(width, 3)) * 2, rtol=0
    )


def riff(kind: int, width: int, data: bytes, extensible: bool = False, length: int | None = None) -> bytes:
    """A file as other programs write it: an odd chunk before the sound, perhaps the extensible header."""
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, 1, RATE, RATE * width, width, 8 * width)
    form += struct.pack("<HHIH14s", 22, 8 * width, 4, kind, b"") if extensible else b""
    chunks = b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + b"fmt " + len(form).to_bytes(4, "little") + form
    chunks += b"data" + (len(data) if length is None else length).to_bytes(4, "little") + data
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("form", ["<i2", "<i4", "<f4", "<f8"])
def test_floating_point_and_the_extensible_header(form: str, extensible: bool, tmp_path: Path) -> None:
    width, is_float = int(form[2]), form[1] == "f"
    data = (tone(RATE) if is_float else tone(RATE) * 2 ** (8 * width - 1)).astype(form).tobytes()
    (tmp_path / "a.wav").write_bytes(riff(3 if is_float else 1, width, data, extensible))
    torch.testing.assert_close(
        read_wav(tmp_path / "a.wav", RATE), torch.from_numpy(tone(RATE)).float(), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000])
def test_a_file_that_came_through_a_pipe_is_as_long_as_it_is(length: int, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(1, 2, (tone(RATE) * 2**15).astype("<i2").tobytes() + b"x", length=length))
    assert read_wav(tmp_path / "a.wav", RATE).shape == (800,)


def test_channels_are_averaged(tmp_path: Path) -> None:
    both = np.stack((tone(RATE), -tone(RATE) / 2), 1)
    found = read_wav(write(tmp_path / "a.wav", both, channels=2), RATE)
    torch.testing.assert_close(found, torch.from_numpy(tone(RATE)).float() / 4, atol=1e-3, rtol=0)


@pytest.mark.parametrize("rate", [6000, 16000, 44100, 96000])
def test_other_rates_are_resampled(rate: int, tmp_path: Path) -> None:
    found = read_wav(write(tmp_path / "a.wav", tone(rate), rate=rate), RATE)
    torch.testing.assert_close(found, torch.from_numpy(tone(RATE)).float(), atol=1e-3, rtol=0)


def test_what_a_lower_rate_cannot_hold_is_left_out() -> None:
    high = torch.sin(2 * math.pi * 6000 * torch.arange(1600) / 16000)
    assert resample(high, 16000, 8000).abs().max() < 1e-3


def test_one_value_is_a_waveform(tmp_path: Path) -> None:
    assert read_wav(write(tmp_path / "a.wav", np.array([0.5])), RATE).shape == (1,)
    assert read_wav(write(tmp_path / "a.wav", np.array([0.5]), rate=96000), RATE).shape == (1,)


def test_files_that_hold_no_waveform_are_refused_by_name(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav", tone(RATE)).read_bytes()
    bad = {
        "empty file": b"",
        "no wav": b"hello, this is text and no sound at all, sorry",
        "no sound": write(tmp_path / "none.wav", np.array([])).read_bytes(),
        "cut short": good[:300],
        "floats of 16 bits": good[:20] + (3).to_bytes(2, "little") + good[22:],
        "A-law": good[:20] + (6).to_bytes(2, "little") + good[22:],
        "no rate": good[:24] + bytes(4) + good[28:],
        "no channels": good[:22] + bytes(2) + good[24:],
        "short header": good[:16] + (4).to_bytes(4, "little") + good[20:],
        "no values": good[:36],
        "not finite": riff(3, 4, np.full(9, np.nan, "<f4").tobytes()),
    }
    for name, data in bad.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}\.wav.*Leave the file out"):
            read_wav(path, RATE)
    with pytest.raises(ValueError, match=r"absent\.wav' is not there"):
        read_wav(tmp_path / "absent.wav", RATE)
    with pytest.raises(ValueError, match=r"lasts 0\.1 s, more than 0\.05 s"):
        read_wav(tmp_path / "good.wav", RATE, max_seconds=0.05)
