"""Recordings of noise, for examples of data sets."""

import wave
from pathlib import Path

import numpy as np


def write_noise(path: Path, values: int, seed: int, rate: int = 8000) -> None:
    """Write a WAV file, one channel of 16 bits.

    Args:
        path: the file.
        values: their number.
        seed: of the noise.
        rate: values a second.
    """
    noise = np.random.default_rng(seed).integers(-3000, 3000, size=values).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(noise.tobytes())
