"""FLAC beside WAV, and files that are no recording."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.data.audio.audio_file import read_audio, recordings_below
from mtl.data.audio.noise_file import write_noise
from mtl.data.audio.wav_file import read_wav

RATE = 8000


def tone(rate: int, seconds: float = 0.1) -> np.ndarray:
    return 0.5 * np.sin(2 * math.pi * 440 * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_flac_has_the_values_that_were_written(subtype: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.flac", tone(RATE), RATE, subtype=subtype)
    found = read_audio(tmp_path / "a.flac", RATE)
    torch.testing.assert_close(
        found, torch.from_numpy(tone(RATE)).float(), atol=1e-2 if "8" in subtype else 1e-4, rtol=0
    )


def test_flac_of_two_channels_and_another_rate_is_one_channel_at_the_wanted_rate(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    both = np.stack((tone(96000), -tone(96000) / 2), 1)
    soundfile.write(tmp_path / "A.FLAC", both, 96000)
    found = read_audio(tmp_path / "A.FLAC", RATE)
    torch.testing.assert_close(found, torch.from_numpy(tone(RATE)).float() / 4, atol=1e-3, rtol=0)


def test_wav_is_read_as_ever(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.wav", 300, seed=0)
    assert torch.equal(read_audio(tmp_path / "a.wav", RATE), read_wav(tmp_path / "a.wav", RATE))


def test_bad_files_are_refused_by_name(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "good.flac", tone(RATE, 1.0), RATE)
    good = (tmp_path / "good.flac").read_bytes()
    (tmp_path / "empty.flac").write_bytes(b"")
    (tmp_path / "text.flac").write_bytes(b"hello, this is text and no sound at all, sorry")
    (tmp_path / "cut.flac").write_bytes(good[: len(good) // 2])
    for name, message in [
        ("empty.flac", "cannot be read"),
        ("text.flac", "cannot be read"),
        ("cut.flac", "cannot be read|cut short"),
        ("absent.flac", "is not there"),
        ("a.mp4", r"the forms are \.wav, \.flac"),
    ]:
        with pytest.raises(ValueError, match=rf"{name}'.*({message})"):
            read_audio(tmp_path / name, RATE)
    with pytest.raises(ValueError, match=r"lasts 1\.0 s, more than 0\.5 s"):
        read_audio(tmp_path / "good.flac", RATE, max_seconds=0.5)


def test_flac_without_the_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ImportError, match=r'pip install "mtl\[audio\]"'):
        read_audio(tmp_path / "a.flac", RATE)


def test_recordings_below_a_folder_are_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/1.WAV", "a.ogg", "notes.txt", "c.flac"):
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in recordings_below(tmp_path)] == [
        "a.ogg",
        "b/1.WAV",
        "c.flac",
    ]
    assert recordings_below(tmp_path / "a.ogg") == [tmp_path / "a.ogg"]
