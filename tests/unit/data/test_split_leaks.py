"""A recording, a sentence or a picture that is in two splits: told at the start and in `check`."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.data import label_check
from mtl.data.audio.listed_recordings import read_table
from mtl.data.audio.recording_table import RecordingTable
from mtl.data.mixed.module import MixedData
from mtl.data.module import JointDataModule
from mtl.data.sequence_set import SequenceSet
from mtl.data.split_leaks import split_leaks
from mtl.data.table.picture_table import PictureTable
from mtl.data.text.sentence_table import SentenceTable
from mtl.evaluation.data.data_check import check_data
from mtl.task import InputSpec

WORDS = {"words": InputSpec("words", "tokens", 9)}


def sentences(*words: list[int]) -> SequenceSet:
    samples = [{"words": torch.tensor(one), "topic": index} for index, one in enumerate(words)]
    return SequenceSet(samples, [len(one) for one in words], [f"text {one}" for one in words])


def test_equal_inputs_are_one_sample_whatever_the_labels() -> None:
    splits = {"train": sentences([1, 2], [3]), "val": sentences([4]), "test": sentences([5], [3], [3])}
    (leak,) = split_leaks(splits, WORDS)
    assert (leak.first, leak.second, leak.pairs, leak.exact) == ("train", "test", [(1, 1), (1, 2)], False)
    assert leak.text.startswith("2 of 3 samples of test are also in train: 'text [3]'. ")
    assert not list(split_leaks({"train": sentences([1]), "val": sentences([2])}, WORDS))


def test_a_sentence_beside_recordings_of_another_part_may_still_be_alike_by_chance() -> None:
    sound = InputSpec("sound", "audio", channels=1, rate=8000)
    splits = {"train": sentences([3]), "test": sentences([3])}
    (leak,) = split_leaks(splits, {**WORDS, "sound": sound})
    assert not leak.exact
    for samples in splits.values():
        samples.samples[0]["sound"] = torch.ones(1, 8)
    (leak,) = split_leaks(splits, {**WORDS, "sound": sound})
    assert leak.exact


def copied(cls: type[JointDataModule], folder: Path) -> JointDataModule:
    """A tiny table whose first training row stands in the test split once more."""
    folder.mkdir()
    args = cls.example_args(folder)
    assert args is not None
    table = Path(args["path"])
    lines = table.read_text().splitlines()
    row = next(line for line in lines[1:] if line.endswith(",train"))
    table.write_text("\n".join([*lines, row.removesuffix("train") + "test"]) + "\n")
    return cls(**args)


@pytest.mark.parametrize(
    ("cls", "level"), [(RecordingTable, "error"), (PictureTable, "error"), (SentenceTable, "warning")]
)
def test_check_finds_a_row_in_two_splits(cls: type[JointDataModule], level: str, tmp_path: Path) -> None:
    found = [one for one in check_data(copied(cls, tmp_path / "a")).findings if one.kind == "in_two_splits"]
    assert [one.level for one in found] == [level]
    assert "samples of test are also in train" in found[0].text
    assert {split for split, _ in found[0].places} == {"train", "test"}


def test_the_start_warns_of_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = copied(SentenceTable, tmp_path / "a")
    data.setup("fit")
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with caplog.at_level(logging.WARNING, "mtl.data.label_check"):
        for _ in range(2):
            label_check.check_labels(data, data.tasks, trainer)
    told = [record.getMessage() for record in caplog.records if record.name == label_check.log.name]
    assert [text.partition(":")[0] for text in told] == ["1 of 5 samples of test are also in train"]


def test_a_copy_under_another_name_is_the_same_recording(tmp_path: Path) -> None:
    args: Any = RecordingTable.example_args(tmp_path)
    shutil.copy(tmp_path / "r0.wav", tmp_path / "other.wav")
    table = tmp_path / "recordings.csv"
    table.write_text(table.read_text() + "other.wav,a,ja,,test\n")
    (one,) = (one for one in check_data(RecordingTable(**args)).findings if one.kind == "in_two_splits")
    assert "1 of 5 samples of test are also in train: 'other.wav'" in one.text


def test_the_parts_of_a_mix_are_looked_at(tmp_path: Path) -> None:
    parts = {"one": copied(SentenceTable, tmp_path / "a"), "two": copied(SentenceTable, tmp_path / "b")}
    mix = MixedData(parts=parts)  # type: ignore[arg-type]
    mix.setup("fit")
    mix.setup("test")
    (leak,) = split_leaks({split: getattr(mix, f"{split}_set") for split in ("train", "val", "test")}, mix.inputs)
    assert leak.first == "train"
    assert len(leak.pairs) == 2


def test_a_recording_that_a_list_has_in_two_splits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text("recording,split\nr1,train\nr2,val\nr1,test\n")
    with pytest.raises(ValueError, match=r"line 4: recording 'r1' is in split 'test', and in 'train' in line 2. Keep"):
        read_table(tmp_path, [])
