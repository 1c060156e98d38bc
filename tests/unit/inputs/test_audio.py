"""The spectrogram against torch's Fourier transform, its pitch, its masks, and what is hidden in training."""

import math

import pytest
import torch

from mtl.features import MASK
from mtl.inputs.audio import AudioInput, hop, mel_filters
from mtl.task import InputSpec

RATE = 8000
SPEC = InputSpec("audio", "audio", 20, rate=RATE)


def tone(hertz: float, seconds: float = 0.5) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * RATE)) / RATE)


def mel(part: AudioInput, *waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return part.log_mel(*AudioInput.collate(SPEC, waves).values())


def test_equals_the_transform_of_torch() -> None:
    part = AudioInput(SPEC, equal_loudness=False)
    wave = torch.randn(1600, generator=torch.Generator().manual_seed(0))
    found, mask = mel(part, wave)
    assert (hop(SPEC), part.window) == (80, 200)
    padded = torch.nn.functional.pad(wave, (60, 60 + 80 * (found.shape[1] - 20)))
    window = torch.hann_window(200)
    frames = padded.unfold(0, 200, 80) * window / window.square().sum().sqrt()
    power = torch.fft.rfft(frames, n=256).abs().square()
    torch.testing.assert_close(found[0], (power @ mel_filters(20, 129, RATE) + 1e-3).log(), rtol=1e-3, atol=1e-3)
    assert mask.sum() == 20


def test_filters_sum_to_one_and_leave_no_frequency_out() -> None:
    for bands, frequencies in ((20, 129), (80, 129)):
        filters = mel_filters(bands, frequencies, RATE)
        torch.testing.assert_close(filters.sum(0), torch.ones(bands))
    assert (mel_filters(20, 129, RATE)[1:-1] > 0).any(1).all()


@pytest.mark.parametrize("hertz", [300, 1000, 3000])
def test_a_tone_is_loudest_in_the_band_of_its_pitch(hertz: int) -> None:
    loudest = mel(AudioInput(SPEC), tone(hertz))[0][0, 25].argmax()
    step = 2595 * math.log10(1 + RATE / 2 / 700) / 21
    assert abs(2595 * math.log10(1 + hertz / 700) / step - 1 - int(loudest)) < 1


def test_volume_says_nothing_unless_it_is_asked_for() -> None:
    loud, quiet = (mel(AudioInput(SPEC), factor * tone(500))[0] for factor in (1, 0.1))
    torch.testing.assert_close(loud, quiet, rtol=1e-2, atol=1e-2)
    loud, quiet = (mel(AudioInput(SPEC, equal_loudness=False), factor * tone(500))[0] for factor in (1, 0.1))
    assert (loud - quiet).max() == pytest.approx(math.log(100), rel=1e-2)


def test_one_value_is_one_frame_and_none_is_refused() -> None:
    found, mask = mel(AudioInput(SPEC), torch.ones(1), torch.zeros(200))
    assert mask.sum(1).tolist() == [1, 3]
    assert found.isfinite().all()
    for bad in (torch.ones(0), torch.ones(2, 100)):
        with pytest.raises(ValueError, match=r"'audio' has a waveform of shape.*T at least 1"):
            AudioInput.collate(SPEC, [bad])


def test_training_hides_stretches_of_time_and_bands_and_evaluation_none() -> None:
    torch.manual_seed(0)
    part = AudioInput(SPEC, time_masks=2, band_masks=2)
    batch = AudioInput.collate(SPEC, [tone(500), tone(800, 0.2)])
    seen, whole = part(batch)["audio"], part.eval()(batch)["audio"]
    changed = seen != whole
    assert changed.any()
    assert not seen[changed].any()
    assert not changed.all(1).all(1).any()
    torch.testing.assert_close(part(batch)["audio"], whole, rtol=0, atol=0)
    assert not whole[~part(batch)["audio" + MASK]].any()


def test_bands_are_standardised_by_the_training_samples() -> None:
    waves = [torch.randn(800 + 80 * index, generator=torch.Generator().manual_seed(index)) for index in range(5)]
    part = AudioInput(SPEC)
    part.adapt(waves)
    ready = part(AudioInput.collate(SPEC, waves))
    real = ready["audio"][ready["audio" + MASK]]
    torch.testing.assert_close(real.mean(0), torch.zeros(20), atol=1e-4, rtol=0)
    torch.testing.assert_close(real.std(0, unbiased=False), torch.ones(20), atol=1e-4, rtol=0)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="time_share=2"):
        AudioInput(SPEC, time_share=2)
    with pytest.raises(ValueError, match="rate=-1"):
        InputSpec("audio", "audio", 20, rate=-1)
