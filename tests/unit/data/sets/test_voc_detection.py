"""Pascal VOC on a fake in torchvision's layout."""

from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import VOCDetection

from mtl.data.sets.benchmarks.voc_detection import CLASSES, VOCDetectionData
from mtl.targets.detection import ignored


@pytest.fixture
def root(tmp_path: Path, write: Any) -> Path:
    base = tmp_path / "VOCdevkit/VOC2012"
    for i in range(4):
        write.picture(base / f"JPEGImages/2012_{i}.jpg", seed=i)
        write.voc(base / f"Annotations/2012_{i}.xml", [("cat", 1, 1, 10, 10), ("person", 5, 5, 30, 30)], difficult=1)
    write.splits(base / "ImageSets/Main", train=["2012_0", "2012_1", "2012_2"], val=["2012_3"])
    return tmp_path


def test_boxes_and_the_classes_present(root: Path) -> None:
    data = VOCDetectionData(str(root), image_size=(30, 40), difficult="keep")
    data.setup("fit")
    assert [len(data.train_set), len(data.val_set)] == [3, 1]
    sample = data.train_set[0]
    assert sample["boxes"].tolist() == [[0, 0, 10, 10], [4, 4, 30, 30]]
    assert [CLASSES[i] for i in sample["box_labels"]] == ["cat", "person"]
    assert [CLASSES[i] for i in sample["present_classes"].nonzero().flatten()] == ["cat", "person"]
    # the fake is one that torchvision itself reads
    assert len(VOCDetection(str(root), year="2012", image_set="train")[0][1]["annotation"]["object"]) == 2


def test_difficult_boxes_are_ignored_by_default(root: Path) -> None:
    data = VOCDetectionData(str(root), image_size=(30, 40))
    data.setup("fit")
    sample = data.train_set[0]
    assert sample["box_labels"].tolist() == [CLASSES.index("cat"), ignored(CLASSES.index("person"))]
    assert [CLASSES[i] for i in sample["present_classes"].nonzero().flatten()] == ["cat"]


def test_the_validation_pictures_stand_in_for_the_unlabelled_test_set_and_it_says_so(root: Path) -> None:
    data = VOCDetectionData(str(root), image_size=(30, 40))
    data.setup("test")
    assert data.test_set.name(0) == "2012_3"
    assert [(finding.kind, finding.split) for finding in data.data_report] == [("same_pictures", "test")]


def test_tasks_are_those_of_the_batches(root: Path) -> None:
    data = VOCDetectionData(str(root), image_size=(30, 40), batch_size=3)
    data.setup("fit")
    assert data.tasks == VOCDetectionData.declare_tasks(root="nowhere")
    batch = next(iter(data.train_dataloader()))
    assert {"boxes", "box_labels", "present_classes", "labelled/present_classes"} <= batch.keys()


def test_missing_data_is_an_error_with_two_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="VOC 2012 'train' is not in.*parent folder of VOCdevkit, or `download: true`"):
        VOCDetectionData(str(tmp_path)).setup("fit")


def test_a_test_set_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="VOC 2012 has no public labels"):
        VOCDetectionData("x", test_split="test")
    assert VOCDetectionData("x", year="2007", test_split="test").image_sets["test"] == "test"


def test_download_is_left_to_torchvision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def download(url: str, *_: Any, **__: Any) -> None:
        fetched.append(url)
        (root / "away").rename(root / "VOCdevkit")

    monkeypatch.setattr("torchvision.datasets.voc.download_and_extract_archive", download)
    VOCDetectionData(str(root), download=True).prepare_data()
    assert not fetched
    (root / "VOCdevkit").rename(root / "away")
    VOCDetectionData(str(root)).prepare_data()
    assert not fetched
    VOCDetectionData(str(root), download=True).prepare_data()
    assert len(fetched) == 1


def test_a_folder_of_splits_has_no_meaning_here() -> None:
    with pytest.raises(ValueError, match="defines its splits"):
        VOCDetectionData("x", splits="mine")
