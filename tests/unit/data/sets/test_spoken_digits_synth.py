"""Machine voices: repeatable recordings whose pitch is the speaker's, and rows of the length that is asked for."""

import numpy as np
import pytest
import torch

from mtl.data.audio.formants import RATE, speak
from mtl.data.sets.spoken_digits_synth import VOICES, SpokenDigitsSynth


def made(**options: object) -> SpokenDigitsSynth:
    data = SpokenDigitsSynth(**{"num_train": 6, "num_val": 2, "num_test": 2, **options})  # type: ignore[arg-type]
    data.setup("fit")
    return data


@pytest.mark.parametrize("name", VOICES)
def test_a_voice_has_the_pitch_of_its_speaker(name: str) -> None:
    wave, _ = speak([1, 9], VOICES[name], np.random.default_rng(0))
    assert wave.isfinite().all()
    assert wave.abs().max() == pytest.approx(0.5)
    # the first peak of the autocorrelation within the range of voices is one period
    middle = wave[len(wave) // 4 : len(wave) // 4 + 1600]
    lags = torch.arange(RATE // 300, RATE // 80)
    best = int(lags[torch.stack([(middle[lag:] * middle[: len(middle) - lag]).mean() for lag in lags]).argmax()])
    assert RATE / best == pytest.approx(VOICES[name].pitch, rel=0.2)


def test_the_seed_says_what_is_said_and_the_size_of_training_leaves_validation_alone() -> None:
    first, again, other, larger = made(), made(), made(seed=1), made(num_train=9)
    assert torch.equal(first.train_set[3]["audio"], again.train_set[3]["audio"])
    assert not torch.equal(first.train_set[0]["audio"][:800], other.train_set[0]["audio"][:800])
    assert torch.equal(first.val_set[1]["audio"], larger.val_set[1]["audio"])


def test_rows_have_one_to_the_most_digits_and_no_blank() -> None:
    rows = [made(num_train=40, most_digits=3).train_set[index]["digits"] for index in range(40)]
    assert {len(row) for row in rows} == {1, 2, 3}
    assert min(int(row.min()) for row in rows) >= 1
    assert max(int(row.max()) for row in rows) <= 10


def test_no_recordings_are_refused() -> None:
    with pytest.raises(ValueError, match="most_digits=0 must be"):
        SpokenDigitsSynth(most_digits=0)


def test_the_pitch_covers_the_recording_and_is_unknown_in_silence() -> None:
    sample = made(pitch=True).train_set[0]
    assert len(sample["pitch"]) * 40 == len(sample["audio"])  # every 5 ms
    known = sample["pitch"][sample["pitch"].isfinite()]
    assert 0 < len(known) < len(sample["pitch"])
    assert 80 < known.min() < known.max() < 280
    assert "pitch" not in made().train_set[0]


def test_emotions_differ_in_pitch_rate_and_energy() -> None:
    data = SpokenDigitsSynth(num_train=120, num_val=1, num_test=1, most_digits=1, pitch=True, emotion=True)
    data.setup("fit")
    names = data.tasks["emotion"].class_names
    samples = {
        name: [s for s in (data.train_set[i] for i in range(120)) if names[s["emotion"]] == name] for name in names
    }
    loud, pitch, steps = (
        {name: float(torch.tensor([f(s) for s in part]).mean()) for name, part in samples.items()}
        for f in (lambda s: s["audio"].abs().max(), lambda s: s["pitch"].nanmean(), lambda s: float(len(s["audio"])))
    )
    assert loud["angry"] > loud["happy"] > loud["neutral"] > loud["sad"]
    assert pitch["happy"] > 1.1 * pitch["sad"]
    assert steps["sad"] > 1.3 * steps["angry"]
    plain = SpokenDigitsSynth(num_train=2, num_val=1, num_test=1)
    plain.setup("fit")
    assert "emotion" not in plain.train_set[0]
