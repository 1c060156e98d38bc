"""A small formant synthesiser: spoken digits from harmonics of a voice, shaped by three resonances, and noise.

Source of the vowels' resonances: Peterson, Barney, "Control Methods Used in a Study of the Vowels", JASA 1952 (means of
men); the consonants are approximations by ear of the textbook and sound like a machine.
Shapes: T values, N frames of 5 ms, H harmonics.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 8000  # Hz
_FRAME = 40  # values of a frame


@dataclass(frozen=True)
class Voice:
    """How a speaker sounds.

    Args:
        pitch: of the voice, Hz.
        tract: factor on all resonances; a shorter throat has higher ones.
        speed: factor on the length of every sound.
        breath: loudness of the noise beside the voice.
    """

    pitch: float
    tract: float
    speed: float
    breath: float


# resonances (Hz), seconds, loudness of the voice, of hissing noise (high) and of broad noise
_Sound = tuple[tuple[float, float, float], float, float, float, float]
_SOUNDS: dict[str, _Sound] = {
    "i": ((270, 2290, 3010), 0.13, 1.0, 0, 0),
    "I": ((390, 1990, 2550), 0.09, 1.0, 0, 0),
    "e": ((530, 1840, 2480), 0.10, 1.0, 0, 0),
    "a": ((730, 1090, 2440), 0.11, 1.0, 0, 0),
    "o": ((570, 840, 2410), 0.12, 1.0, 0, 0),
    "u": ((300, 870, 2240), 0.12, 1.0, 0, 0),
    "A": ((640, 1190, 2390), 0.09, 1.0, 0, 0),
    "n": ((280, 1700, 2600), 0.08, 0.4, 0, 0),
    "w": ((300, 610, 2200), 0.07, 0.6, 0, 0),
    "r": ((310, 1060, 1380), 0.07, 0.6, 0, 0),
    "v": ((220, 1100, 2080), 0.06, 0.3, 0, 0.1),
    "z": ((240, 1390, 2530), 0.08, 0.3, 0.3, 0),
    "s": ((320, 1390, 2530), 0.10, 0.0, 0.6, 0),
    "f": ((340, 1100, 2080), 0.09, 0.0, 0, 0.25),
    "T": ((320, 1290, 2540), 0.08, 0.0, 0.1, 0.15),
    "-": ((320, 1390, 2530), 0.05, 0.0, 0, 0),  # the silence before a burst, and between words
    "t": ((400, 1600, 2600), 0.03, 0.0, 0.5, 0.2),
    "k": ((350, 1800, 2200), 0.03, 0.0, 0.1, 0.5),
}
# a letter of this alphabet for each sound
DIGITS = ("zIrou", "wAn", "-tu", "Tri", "for", "faIv", "sI-ks", "sevAn", "eI-t", "naIn")


def speak(digits: list[int], voice: Voice, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The waveform of a row of digits, float32 [T] within -1..1, and its pitch in Hz, [N]; no two are alike.

    The pitch is NaN where the voice is silent.

    Args:
        digits: numbers 0 to 9.
        voice: who speaks.
        rng: random numbers: lengths and pitch vary by some percent, and the noise is drawn.
    """
    sounds = "-" + "-".join(DIGITS[digit] for digit in digits) + "-"
    controls_N7 = _controls(sounds, voice, rng)
    steps = len(controls_N7) * _FRAME
    smooth = F.avg_pool1d(controls_N7.T[None], 5, 1, 2, count_include_pad=False)  # sounds run into each other
    formants_3N, pitch_N = smooth[0, :3], smooth[0, 3]
    harmonic_H = torch.arange(1, int(RATE / 2 / float(pitch_N.min())) + 1)
    gain_HN = _resonance(harmonic_H[:, None] * pitch_N, formants_3N)
    pitch_T, voiced_T, hiss_T, broad_T = _stretched(smooth[0, 3:], steps)
    phase_T = 2 * math.pi * torch.cumsum(pitch_T.double(), 0) / RATE
    tones_HT = torch.sin(harmonic_H[:, None] * phase_T).float()
    wave_T = voiced_T * (_stretched(gain_HN, steps) * tones_HT).sum(0)
    noise_T = torch.from_numpy(rng.standard_normal(steps)).float()
    spectrum = torch.fft.rfft(noise_T)
    spectrum[: int(len(spectrum) * 0.6)] = 0  # hissing is above 2.4 kHz
    wave_T = wave_T + hiss_T * torch.fft.irfft(spectrum, n=steps) + (broad_T + voice.breath) * noise_T
    loud_T: Tensor = 0.5 * wave_T / wave_T.abs().max()
    return loud_T, torch.where(smooth[0, 4] > 0, pitch_N, torch.nan)


def _controls(sounds: str, voice: Voice, rng: np.random.Generator) -> Tensor:
    """For each frame the three resonances, the pitch, and three loudnesses, [N,7]."""
    rows = []
    for sound in sounds:
        formants, seconds, *loudness = _SOUNDS[sound]
        frames = max(3, round(seconds * voice.speed * rng.uniform(0.8, 1.25) * RATE / _FRAME))
        moved = [formant * voice.tract * rng.uniform(0.95, 1.05) for formant in formants]
        rows += [[*moved, voice.pitch, *loudness]] * frames
    controls_N7 = torch.tensor(rows)
    # pitch falls over the row, and each row begins elsewhere
    controls_N7[:, 3] *= torch.linspace(1.1, 0.85, len(rows)) * rng.uniform(0.93, 1.07)
    return controls_N7


def _resonance(hertz_HN: Tensor, formants_3N: Tensor) -> Tensor:
    """Loudness of each harmonic: peaks at the resonances, and higher ones weaker as in a voice."""
    total_HN = torch.zeros_like(hertz_HN)
    for formant_N, width, gain in zip(formants_3N, (80.0, 100.0, 140.0), (1.0, 0.6, 0.3), strict=True):
        total_HN = total_HN + gain / (1 + ((hertz_HN - formant_N) / width).square())
    return total_HN * (hertz_HN < RATE / 2)


def _stretched(values_XN: Tensor, steps: int) -> Tensor:
    stretched: Tensor = F.interpolate(values_XN[None], size=steps, mode="linear", align_corners=False)[0]
    return stretched
