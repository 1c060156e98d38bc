"""Audio: a waveform for each sample; the backbone gets its log-mel spectrogram, made on the device.

The Fourier transform is a product with cosines and sines: real numbers only, so that it compiles and exports.
Source of the mel scale: O'Shaughnessy, "Speech Communication", 1987 (2595 log10(1 + f/700)); of masking in training:
Park et al., "SpecAugment", Interspeech 2019, with masks filled by the mean and without time warping.
Shapes: B samples, T values of the longest waveform rounded up, F frames, W values of a window, K frequencies, M bands.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.input import Input
from mtl.task import InputSpec

DEFAULT_RATE = 8000  # Hz, where the data does not say it
HOP_SECONDS, WINDOW_SECONDS = 0.010, 0.025
FRAMES_MULTIPLE = 8  # frames of a batch are rounded up to it, so compiled graphs see few shapes
_FLOOR = 1e-3  # added before the logarithm: silence has a value, and noise below it does not count


class AudioInput(Input):
    """Log-mel spectrogram of a waveform: loudness made equal, bands standardised by the training samples.

    A frame is real if it begins within the waveform; padded frames are 0.

    Args:
        spec: the input; its `channels` are the bands M, its `rate` the values a second (8000 where it says none).
        equal_loudness: divide each waveform by its root mean square, so that the volume says nothing.
        time_masks: stretches of time hidden in each training sample; 0 hides none.
        time_share: longest stretch as a share of the sample, 0 to 1.
        band_masks: stretches of bands hidden in each training sample; 0 hides none.
        band_share: longest stretch of bands as a share of all bands, 0 to 1.

    Raises:
        ValueError: for a number of masks below 0 or a share outside 0..1.
    """

    kind = "audio"
    unrepeatable = True
    form = "values of a waveform, -1 to 1 (float32 [T])"
    fourier_WK: Tensor
    filters_KM: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        spec: InputSpec,
        equal_loudness: bool = True,
        time_masks: int = 0,
        time_share: float = 0.15,
        band_masks: int = 0,
        band_share: float = 0.2,
    ) -> None:
        super().__init__(spec)
        if min(time_masks, band_masks) < 0 or not (0 <= time_share <= 1 and 0 <= band_share <= 1):
            raise ValueError(
                f"input {spec.name!r}: time_masks={time_masks} and band_masks={band_masks} must be at least 0, "
                f"time_share={time_share} and band_share={band_share} within 0..1."
            )
        self.equal_loudness = equal_loudness
        self.masks = ((1, time_masks, time_share), (2, band_masks, band_share))
        rate = spec.rate or DEFAULT_RATE
        self.hop, self.window = hop(spec), max(2, round(WINDOW_SECONDS * rate))
        size = 2 ** math.ceil(math.log2(self.window))
        filters_KM = mel_filters(spec.channels, size // 2 + 1, rate)
        angle_WK = 2 * math.pi / size * torch.arange(self.window)[:, None] * torch.arange(len(filters_KM))
        window_W = torch.hann_window(self.window, dtype=torch.float64)
        window_W = window_W / window_W.square().sum().sqrt()  # noise of variance 1 has power 1 at each frequency
        fourier = torch.cat((angle_WK.double().cos(), angle_WK.double().sin()), 1) * window_W[:, None]
        self.register_buffer("fourier_WK", fourier.float(), persistent=False)  # 2K columns
        self.register_buffer("filters_KM", filters_KM, persistent=False)
        self.register_buffer("mean", torch.zeros(spec.channels))
        self.register_buffer("scale", torch.ones(spec.channels))

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        waves = [torch.as_tensor(value, dtype=torch.float32) for value in values]
        for wave in waves:
            if wave.ndim != 1 or not len(wave):
                raise ValueError(
                    f"input {spec.name!r} has a waveform of shape {list(wave.shape)}; a sample holds {cls.form}, T at "
                    "least 1. Average the channels of stereo, and leave empty recordings out."
                )
        block = FRAMES_MULTIPLE * hop(spec)
        length = -(-max(map(len, waves)) // block) * block
        batch_BT = torch.zeros(len(waves), length)
        mask_BT = torch.zeros(len(waves), length, dtype=torch.bool)
        for row, wave in enumerate(waves):
            batch_BT[row, : len(wave)] = wave
            mask_BT[row, : len(wave)] = True
        return {spec.name: batch_BT, spec.name + MASK: mask_BT}

    @classmethod
    def open_dimensions(cls, spec: InputSpec) -> dict[int, int]:
        return {1: FRAMES_MULTIPLE * hop(spec)}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        frames = rng.uniform(10, 40)
        return torch.from_numpy(rng.normal(0, 0.1, size=int(frames * hop(spec)))).float()

    def adapt(self, values: Iterable[Any]) -> None:
        total_M, squares_M = torch.zeros(2, self.spec.channels, dtype=torch.float64).unbind()
        count = 0
        for value in values:
            batch = self.collate(self.spec, [value])
            real_FM = self.log_mel(*batch.values())[0][0, : -(-len(value) // self.hop)].double()
            total_M, squares_M = total_M + real_FM.sum(0), squares_M + real_FM.square().sum(0)
            count += len(real_FM)
        mean_M = total_M / max(count, 1)
        deviation_M = (squares_M / max(count, 1) - mean_M.square()).clamp(min=1e-6).sqrt()
        self.mean.copy_(mean_M)
        self.scale.copy_(1 / deviation_M)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        wave_BT = batch[self.spec.name]
        mask_BT = batch.get(self.spec.name + MASK, torch.ones_like(wave_BT, dtype=torch.bool))
        mel_BFM, mask_BF = self.log_mel(wave_BT, mask_BT)
        mel_BFM = (mel_BFM - self.mean) * self.scale
        if self.training:
            frames_B = mask_BF.sum(1)
            for dim, number, share in self.masks:
                length_B = frames_B if dim == 1 else torch.full_like(frames_B, mel_BFM.shape[2])
                for _ in range(number):
                    hidden = _stretch(length_B, mel_BFM.shape[dim], share).unsqueeze(3 - dim)
                    mel_BFM = mel_BFM.masked_fill(hidden, 0.0)
        return {self.spec.name: mel_BFM * mask_BF[..., None], self.spec.name + MASK: mask_BF}

    def log_mel(self, wave_BT: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel spectrogram [B,F,M] before it is standardised, and which frames are real [B,F].

        Args:
            wave_BT: waveforms, 0 in the padding.
            mask_BT: which values are real.
        """
        # products of half precision would lose the quiet bands
        with torch.autocast(wave_BT.device.type, enabled=False):
            wave_BT = wave_BT.float() * mask_BT
            if self.equal_loudness:
                power_B1 = wave_BT.square().sum(1, keepdim=True) / mask_BT.sum(1, keepdim=True).clamp(min=1)
                wave_BT = wave_BT / (power_B1.sqrt() + 1e-5)
            before = (self.window - self.hop) // 2
            short = -wave_BT.shape[1] % self.hop
            padded_BT = F.pad(wave_BT, (before, self.window - self.hop - before + short))
            spectrum_BFK = padded_BT.unfold(1, self.window, self.hop) @ self.fourier_WK
            cosine_BFK, sine_BFK = spectrum_BFK.chunk(2, -1)
            mel_BFM = (cosine_BFK.square() + sine_BFK.square()) @ self.filters_KM
            return (mel_BFM + _FLOOR).log(), mask_BT[:, :: self.hop]


def hop(spec: InputSpec) -> int:
    """Values of a waveform from one frame to the next.

    Args:
        spec: the input.
    """
    return max(1, round(HOP_SECONDS * (spec.rate or DEFAULT_RATE)))


def mel_filters(bands: int, frequencies: int, rate: int) -> Tensor:
    """Triangles of equal width on the mel scale, [K,M]; each sums to 1, and each frequency above 0 Hz is in one or two.

    Args:
        bands: number of triangles M.
        frequencies: number of frequencies K, from 0 to half the rate.
        rate: values a second, Hz.
    """
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2, dtype=torch.float64) / 2595) - 1)
    frequency_K1 = torch.linspace(0, rate / 2, frequencies, dtype=torch.float64)[:, None]
    low_M, middle_M, high_M = edges[:-2], edges[1:-1], edges[2:]
    rising_KM = (frequency_K1 - low_M) / (middle_M - low_M)
    falling_KM = (high_M - frequency_K1) / (high_M - middle_M)
    filters_KM = torch.minimum(rising_KM, falling_KM).clamp(min=0)
    # a triangle between two frequencies would hold nothing: it takes the nearest one
    nearest_M = (frequency_K1 - middle_M).abs().argmin(0)
    empty_M = filters_KM.sum(0) == 0
    filters_KM[nearest_M[empty_M], torch.nonzero(empty_M)[:, 0]] = 1
    return (filters_KM / filters_KM.sum(0)).float()


def _stretch(length_B: Tensor, size: int, share: float) -> Tensor:
    """A random stretch of at most a share of the first `length` of `size` places, bool [B,size]."""
    draw_2B = torch.rand(2, len(length_B), device=length_B.device)
    width_B = draw_2B[0] * share * length_B
    start_B = draw_2B[1] * (length_B - width_B)
    place = torch.arange(size, device=length_B.device)
    return (place >= start_B[:, None]) & (place < (start_B + width_B)[:, None])
