"""A task with a head but no labels ends the run before its first step, with the likely cause."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import Dataset, IterableDataset

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.batch import Sample
from mtl.data import label_check
from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.module import JointDataModule
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.task import Task

HEADS: dict[str, Any] = {"boxes": CenterNetHead, "animal": ClassificationHead}


def run(data: JointDataModule, *heads: str, command: str = "fit", **options: Any) -> int:
    """The steps that a run makes."""
    module = MultiTaskLightningModule(
        data.tasks, ResidualFPN(width=8, pyramid_width=8), {name: HEADS[name] for name in heads or HEADS}
    )
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(**{**quiet, "max_steps": 1, "enable_checkpointing": False, "num_sanity_val_steps": 0, **options})
    getattr(trainer, command)(module, datamodule=data)
    return trainer.global_step


def voc(root: Path, write: Any, keys: str = "p{}", **options: Any) -> VOCFolder:
    write.csv(root / "labels.csv", [{"image": keys.format(i), "animal": "cat"} for i in range(6)])
    options = {"image_size": (32, 32), "batch_size": 2, "labels_csv": "labels.csv", **options}
    return VOCFolder(str(root), ["cat", "dog"], image_tasks={"animal": {"classes": ["cat", "dog"]}}, **options)  # type: ignore[dict-item]


def test_labels_in_every_split_train(voc_root: Path, write: Any) -> None:
    assert run(voc(voc_root, write)) == 1


def test_names_with_extension_train(voc_root: Path, write: Any) -> None:
    write.splits(voc_root / "splits", train=["p0.png", "p1.PNG"], val=["images/p4.png"], test=["p5.png"])
    assert run(voc(voc_root, write)) == 1


def test_annotations_of_other_names_are_refused_with_an_example(voc_root: Path, write: Any) -> None:
    for path in (voc_root / "annotations").iterdir():
        path.rename(path.with_name(f"label_{path.name}"))
    message = (
        "(?s)task 'boxes' has a head but no labels: 0 of 4 samples of split 'train'.*"
        ".*annotations' has 6 files [*].xml, the first is 'label_p0.xml', .*'p0' needs 'p0.xml'.*on_unlabelled: warn"
    )
    with pytest.raises(ValueError, match=message):
        run(voc(voc_root, write))
    assert run(voc(voc_root, write), "animal") == 1


def test_annotations_of_another_format_are_named(voc_root: Path, write: Any) -> None:
    for path in (voc_root / "annotations").iterdir():
        path.rename(path.with_suffix(".json"))
    with pytest.raises(ValueError, match="task 'boxes'.*has no [*].xml, but 6 x [*].json"):
        run(voc(voc_root, write))


def test_a_table_that_names_other_pictures_is_refused_with_an_example(voc_root: Path, write: Any) -> None:
    message = "task 'animal' .*No row of .*labels.csv' names a picture of the split: it starts with 'p0', .*'img0'"
    with pytest.raises(ValueError, match=message):
        run(voc(voc_root, write, keys="img{}"))
    assert run(voc(voc_root, write, keys="img{}"), "boxes") == 1


def test_a_column_without_a_label_is_named(voc_root: Path, write: Any) -> None:
    data = voc(voc_root, write)
    write.csv(voc_root / "labels.csv", [{"image": f"p{i}", "animal": "NONE", "done": 0} for i in range(6)])
    with pytest.raises(ValueError, match="task 'animal' .*All 4 rows .* column animal of .*'NONE'"):
        run(data)
    with pytest.raises(ValueError, match="task 'boxes' .*Column 'done' of .*annotated_column. is 1 in none of the 4"):
        run(voc_with(data, voc_root, annotated_column="done"), "boxes")


def voc_with(data: VOCFolder, root: Path, **options: Any) -> VOCFolder:
    return VOCFolder(str(root), ["cat", "dog"], labels_csv="labels.csv", image_size=data.image_size, **options)


@pytest.mark.parametrize("split", ["val", "test"])
def test_only_what_is_trained_and_validated_on_must_be_labelled(
    voc_root: Path, write: Any, split: str, caplog: pytest.LogCaptureFixture
) -> None:
    (voc_root / f"annotations/{'p4' if split == 'val' else 'p5'}.xml").unlink()
    if split == "val":
        with pytest.raises(ValueError, match="task 'boxes' .*0 of 1 samples of split 'val' are labelled"):
            run(voc(voc_root, write))
        assert run(voc(voc_root, write), limit_val_batches=0) == 1
    else:
        assert run(voc(voc_root, write)) == 1
    with caplog.at_level(logging.WARNING, label_check.__name__):
        run(voc(voc_root, write), command={"val": "validate", "test": "test"}[split])
    assert f"task 'boxes' has a head but no labels: 0 of 1 samples of split '{split}'" in caplog.text


def test_a_task_may_go_without_labels_where_the_config_says_so(
    voc_root: Path, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (voc_root / "annotations/p4.xml").unlink()
    with caplog.at_level(logging.WARNING, label_check.__name__):
        assert run(voc(voc_root, write, on_unlabelled="warn")) == 1
    assert "0 of 1 samples of split 'val'" in caplog.text


def test_every_fault_is_told_at_once(voc_root: Path, write: Any) -> None:
    (voc_root / "annotations/p4.xml").unlink()
    with pytest.raises(ValueError, match="(?s)'boxes' .*'val'.*\n?.*'animal'") as error:
        run(voc(voc_root, write, keys="img{}"))
    assert [line.split("'")[1] for line in str(error.value).splitlines()[:-1]] == ["animal", "boxes", "animal"]


def coco(root: Path, write: Any, **fields: Any) -> COCOFolder:
    for name in ("a", "b"):
        write.picture(root / f"images/{name}.png")
        write.coco(root / f"{name}.json", {f"{name}.png": [("cat", 1, 1, 9, 9)]})
        content = json.loads((root / f"{name}.json").read_text())
        content["annotations"][0] |= fields
        (root / f"{name}.json").write_text(json.dumps(content))
    files = {"train": "a.json", "val": "b.json"}
    return COCOFolder(str(root), ["cat", "dog"], annotations=files, image_size=(32, 32), on_bad_box="skip")


def test_training_pictures_without_a_single_box_are_refused(tmp_path: Path, write: Any) -> None:
    assert run(coco(tmp_path, write), "boxes") == 1
    message = "task 'boxes' has a head but no boxes: 1 of 1 samples of split 'train' are annotated, without a "
    with pytest.raises(ValueError, match=f"{message}single box. Skipped boxes: 2 x bad_box"):
        run(coco(tmp_path, write, bbox=None), "boxes")
    with pytest.raises(ValueError, match=message):
        run(coco(tmp_path, write, bbox=[]), "boxes")


def test_a_validation_set_without_a_box_is_told(voc_root: Path, write: Any, caplog: pytest.LogCaptureFixture) -> None:
    write.voc(voc_root / "annotations/p4.xml", [])
    with caplog.at_level(logging.WARNING, label_check.__name__):
        assert run(voc(voc_root, write)) == 1
    assert "1 of 1 samples of split 'val' are annotated, without a single box" in caplog.text


class Own(Dataset[Sample]):
    """Scenes of which only some carry a class; counts what is read."""

    def __init__(self, scenes: Dataset[Sample], labelled: set[int], copies: int = 1) -> None:
        self.scenes, self.labelled, self.copies = scenes, labelled, copies
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.copies * len(self.scenes)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        sample = self.scenes[index % len(self.scenes)]  # type: ignore[arg-type]
        del sample["largest"]
        return sample | {"animal": index % 2 if index in self.labelled else -100}


class OwnData(JointDataModule):
    """As somebody writes it who knows nothing of the check."""

    def __init__(self, train: set[int], val: set[int], copies: int = 1) -> None:
        super().__init__(self.declare_tasks(), batch_size=4)
        self.train, self.val, self.copies = train, val, copies

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {"boxes": Task("boxes", "detection", 10), "animal": Task("animal", "classification", 2)}

    def setup(self, stage: str) -> None:
        scenes = DigitScenes(num_train=8, num_val=8, num_test=8, image_size=32, max_digit_px=16)
        scenes.setup("fit")
        self.train_set = Own(scenes.train_set, self.train, self.copies)
        self.val_set = Own(scenes.val_set, self.val, self.copies)


def test_a_data_module_of_ones_own_is_looked_at_too() -> None:
    with pytest.raises(ValueError, match="task 'animal' .*0 of 8 samples of split 'train' are labelled"):
        run(OwnData(set(), {3}))
    with pytest.raises(ValueError, match="task 'animal' .*0 of 8 samples of split 'val' are labelled"):
        run(OwnData({3}, set()))
    assert run(OwnData({3}, {7})) == 1
    assert run(OwnData(set(), set()), "boxes") == 1


class Stream(IterableDataset[Sample]):
    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Sample]:
        return iter([{}])


@pytest.mark.parametrize("dataset", [iter([]), [(0, 1)], Stream()])
def test_what_is_no_set_of_samples_is_left_alone(dataset: Any) -> None:
    assert label_check.count_by_reading(dataset, OwnData.declare_tasks()) == {}


def test_a_few_samples_are_enough_where_labels_are_common() -> None:
    data = OwnData(set(range(0, 80_000, 2)), {0}, copies=10_000)
    data.setup("fit")
    counts = data.count_labels("train", data.tasks)
    assert counts["animal"].of == 80_000
    assert counts["animal"].samples <= 3
    assert len(data.train_set.read) <= 3  # type: ignore[attr-defined]


def test_a_large_set_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(label_check, "_PATIENCE_S", 0.0)
    with caplog.at_level(logging.WARNING, label_check.__name__):
        assert run(OwnData(set(), {0})) == 1
    assert "task 'animal' has a head but no labels: 0 of 1 (of 8) samples of split 'train'" in caplog.text


def test_looking_at_samples_draws_no_random_number() -> None:
    data = OwnData({3}, {3})
    data.setup("fit")
    scenes = data.train_set.scenes  # type: ignore[attr-defined]
    data.train_set.scenes = _Drawing(scenes)  # type: ignore[attr-defined]
    torch.manual_seed(3)
    data.count_labels("train", data.tasks)
    after = torch.rand(())
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(()))


class _Drawing(Dataset[Sample]):
    def __init__(self, scenes: Dataset[Sample]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        torch.rand(())
        return self.scenes[index]


def test_every_index_comes_once() -> None:
    for length in (0, 1, 2, 3, 10, 97, 100):
        assert sorted(label_check._spread(length)) == list(range(length))


class Ranks:
    """A trainer on one of several ranks, as far as the check looks at it: all hear what the first one said."""

    def __init__(self) -> None:
        self.is_global_zero = True
        self.state = SimpleNamespace(fn=TrainerFn.FITTING)
        self.limit_train_batches = self.limit_val_batches = 1.0
        self.strategy, self.said = self, []

    def broadcast(self, value: Any) -> Any:
        self.said.append(value)
        return self.said[0]


def test_every_rank_takes_the_word_of_the_first(voc_root: Path, write: Any) -> None:
    data, ranks = voc(voc_root, write, keys="img{}"), Ranks()
    data.setup("fit")
    with pytest.raises(ValueError, match="task 'animal' .*'train'"):
        label_check.check_labels(data, data.tasks, ranks)  # type: ignore[arg-type]
    ranks.is_global_zero = False
    with pytest.raises(ValueError, match="task 'animal' .*'train'"):
        label_check.check_labels(OwnData({1}, {1}), data.tasks, ranks)  # type: ignore[arg-type]


def test_a_sample_that_cannot_be_read_ends_every_rank() -> None:
    data = OwnData({3}, {3})
    data.setup("fit")
    data.train_set.scenes = None  # type: ignore[attr-defined]
    ranks = Ranks()
    with pytest.raises(TypeError, match="NoneType"):
        label_check.check_labels(data, data.tasks, ranks)  # type: ignore[arg-type]
    ranks.is_global_zero = False
    with pytest.raises(RuntimeError, match="rank 0 could not check the labels: TypeError: .*NoneType"):
        label_check.check_labels(data, data.tasks, ranks)  # type: ignore[arg-type]
