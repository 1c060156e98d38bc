"""Folds of recordings with emotion: every recording is tested once, and wrong tables are named."""

from pathlib import Path
from typing import Any

import pytest

from mtl.data.audio.listed_recordings import Recording
from mtl.data.sets.emotional_speech import EmotionalSpeech, moved_splits
from mtl.targets.target import target_of


def made(folder: Path, **options: Any) -> EmotionalSpeech:
    return EmotionalSpeech(**{**EmotionalSpeech.example_args(folder), **options})


def table() -> list[Recording]:
    """Two speakers of three sentences, in another order than their numbers."""
    splits = {"9": "test", "10": "val", "54": "train"}
    rows = [
        {"speaker": speaker, "emotion": "fear", "sentence_id": number, "split": splits[number]}
        for speaker in ("EB0", "IC0")
        for number in ("54", "10", "9")
    ]
    return [Recording(row, f"line {index}", Path("a.wav")) for index, row in enumerate(rows)]


def test_a_fold_moves_to_the_next_sentence_by_number() -> None:
    assert moved_splits(table(), 0) == ["train", "val", "test"] * 2
    # sentence 10 takes the place of 9, sentence 54 that of 10, and 9 that of 54
    assert moved_splits(table(), 1) == ["val", "test", "train"] * 2
    with pytest.raises(ValueError, match="fold=3.*folds are 0 to 2"):
        moved_splits(table(), 3)


def test_every_recording_is_tested_in_one_fold(tmp_path: Path) -> None:
    data = made(tmp_path)
    assert len(data._read("test")) == 4
    lengths = []
    for fold in range(4):
        data.fold = fold
        lengths += [len(sample["audio"]) for sample in map(data._read("test").__getitem__, range(4))]
    assert sorted(lengths) == [4000 + 400 * index for index in range(16)]


def test_training_recordings_are_there_at_every_speed_and_no_others(tmp_path: Path) -> None:
    data = made(tmp_path, speeds=(0.8, 1.0))
    data.setup("fit")
    slow, plain = data.train_set[0], data.train_set[1]
    assert len(slow["audio"]) == pytest.approx(len(plain["audio"]) / 0.8, abs=1)
    assert slow["emotion"] == plain["emotion"]
    assert len(data.train_set) == 16  # type: ignore[arg-type]
    assert len(data.val_set) == 4  # type: ignore[arg-type]
    assert target_of(data.tasks["text"]).text(plain["text"]) == "ąż"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",ąż", ",Ąż", "line 2: normalized_text.*'Ą'.*lower-case"),
        (",ąż", ",", "line 2: normalized_text '' is empty"),
        ("anger,EB0,1", "anger,EB0,one", "line 2: sentence_id 'one'"),
        ("r0,test,anger", "r0,test,angry", "line 2: emotion 'angry'.*'anger'"),
        ("r0,test", "r0,tests", "line 2: split 'tests'.*train, val, test"),
    ],
)
def test_wrong_tables_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    data = made(tmp_path)
    path = tmp_path / "recordings.csv"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=message):
        data.setup("test")
