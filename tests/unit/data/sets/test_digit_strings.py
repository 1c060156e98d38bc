"""Rows of digits are what their recordings say, one speaker a row; a held-out speaker is only tested."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.audio.noise_file import write_noise
from mtl.data.sets.digit_strings import DigitStrings
from mtl.data.sets.spoken_digits import SPEAKERS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three speakers, four digits, and one recording of each a split."""
    (tmp_path / "recordings").mkdir()
    lines = ["recording,split,digit,speaker"]
    for split in ("train", "val", "test"):
        for speaker in SPEAKERS[:3]:
            for digit in range(4):
                name = f"{split}_{speaker}_{digit}"
                lines.append(f"{name},{split},{digit},{speaker}")
                write_noise(tmp_path / f"recordings/{name}.wav", 801 + 80 * digit, digit)
    (tmp_path / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def made(root: Path, **options: Any) -> DigitStrings:
    data = DigitStrings(root, **{"num_train": 30, "num_val": 6, "num_test": 6, **options})
    data.setup("fit")
    data.setup("test")
    return data


def test_a_row_is_its_recordings_one_after_another(folder: Path) -> None:
    rows = made(folder, pauses=(0.01, 0.03)).val_set
    sample, plan = rows[2], rows.plans[2]  # type: ignore[attr-defined]
    # recordings of a digit have a length that tells which digit it is
    lengths = [len(rows.waves[part]) for part in plan.parts]  # type: ignore[attr-defined]
    assert [801 + 80 * (int(digit) - 1) for digit in sample["digits"]] == lengths
    start = plan.pauses[0]
    assert not sample["audio"][:start].any()
    assert torch.equal(sample["audio"][start : start + lengths[0]], rows.waves[plan.parts[0]])  # type: ignore[attr-defined]
    assert sample["audio"][start : start + lengths[0]].square().mean().sqrt() == pytest.approx(0.1, rel=1e-3)
    assert all(80 <= pause < 240 for pause in plan.pauses)
    assert len(sample["audio"]) == rows.lengths[2] * 80  # type: ignore[attr-defined]


def test_rows_have_one_speaker_and_the_lengths_that_are_asked_for(folder: Path) -> None:
    train = made(folder, least_digits=2, most_digits=4).train_set
    assert {len(train[index]["digits"]) for index in range(30)} == {2, 3, 4}
    for plan in train.plans:  # type: ignore[attr-defined]
        assert len({part // 4 for part in plan.parts}) == 1
        assert 0.9 <= plan.speed <= 1.1
    fast = min(range(30), key=lambda index: -train.plans[index].speed)  # type: ignore[attr-defined]
    values = sum(len(train.waves[part]) for part in train.plans[fast].parts)  # type: ignore[attr-defined]
    values += sum(train.plans[fast].pauses)  # type: ignore[attr-defined]
    speed = train.plans[fast].speed  # type: ignore[attr-defined]
    assert len(train[fast]["audio"]) == pytest.approx(values / speed, abs=90)


def test_test_rows_stay_whatever_the_seed_and_the_number_of_training_rows(folder: Path) -> None:
    first, second = made(folder), made(folder, seed=3, num_train=10)
    assert torch.equal(first.test_set[4]["audio"], second.test_set[4]["audio"])
    other = made(folder, draw_seed=1)
    assert any(len(first.test_set[index]["audio"]) != len(other.test_set[index]["audio"]) for index in range(6))


def test_a_held_out_speaker_is_tested_without_a_name(folder: Path) -> None:
    data = made(folder, held_out="jackson")
    assert data.tasks["speaker"].class_names == tuple(name for name in SPEAKERS if name != "jackson")
    assert {data.train_set[index]["speaker"] for index in range(30)} == {0, 1}  # george and lucas
    assert "speaker" not in data.test_set[0]
    assert len(data.test_set.waves) == 12  # type: ignore[attr-defined]
    assert "jackson" in data.explain_unlabelled("test", data.tasks["speaker"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": "jakson"}, "no speaker.*jackson"),
        ({"least_digits": 4, "most_digits": 3}, "least_digits from 1 to|least_digits=4 from 1"),
        ({"pauses": (0.3, 0.1)}, "two numbers of seconds"),
        ({"speed": 1.0}, "speed=1.0"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitStrings(folder, **options)
