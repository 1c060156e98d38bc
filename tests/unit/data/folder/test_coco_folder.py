"""`COCOFolder`: categories, boxes and image-level classes from a COCO JSON, and errors."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.sets.benchmarks.coco_detection import CLASSES
from mtl.targets.detection import ignored

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"


@pytest.fixture
def root(tmp_path: Path, write: Any) -> Path:
    for i in range(3):
        write.picture(tmp_path / f"images/sub/p{i}.png", seed=i)
    pictures = {"sub/p0.png": [("cat", 1, 2, 10, 10)], "sub/p1.png": [("dog", 0, 0, 40, 30), ("cat", 5, 5, 5, 5)]}
    write.coco(tmp_path / "train.json", pictures)
    write.coco(tmp_path / "val.json", {"sub/p2.png": []})
    return tmp_path


def module(root: Path, **options: Any) -> COCOFolder:
    options = {"annotations": {"train": "train.json", "val": "val.json"}, "image_size": (30, 40), **options}
    return COCOFolder(str(root), ["cat", "dog"], **options)


def test_boxes_are_corners_and_sparse_ids_become_indices_by_name(root: Path) -> None:
    data = module(root)
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[1, 2, 11, 12]]
    assert data.train_set[0]["box_labels"].tolist() == [0]
    assert data.train_set[1]["box_labels"].tolist() == [1, 0]
    assert data.train_set.name(1) == "sub/p1"


def test_a_listed_picture_without_boxes_has_no_objects(root: Path) -> None:
    data = module(root)
    data.setup("fit")
    assert data.val_set[0]["boxes"].shape == (0, 4)
    assert data.data_report.images("no_objects") == ["sub/p2"]


def test_a_picture_that_is_not_listed_is_not_annotated(root: Path, write: Any) -> None:
    write.picture(root / "images/extra.png", seed=9)
    write.splits(root / "splits", train=["sub/p0", "sub/p1", "extra"], val=["sub/p2"])
    data = module(root)
    data.setup("fit")
    assert "boxes" not in data.train_set[2]
    assert data.data_report.images("no_annotation") == ["extra"]


def test_one_file_is_split_by_names_or_shares(root: Path, write: Any) -> None:
    pictures = {f"sub/p{i}.png": [("cat", 1, 1, 9, 9)] for i in range(3)}
    write.coco(root / "all.json", pictures)
    data = module(root, annotations="all.json", fractions=[0.34, 0.33, 0.33])
    data.setup("fit")
    data.setup("test")
    names = {split.name(0) for split in (data.train_set, data.val_set, data.test_set)}
    assert names == {"sub/p0", "sub/p1", "sub/p2"}
    with pytest.raises(ValueError, match="no file 'train.txt'"):
        module(root, annotations="all.json").setup("fit")


def test_crowds_are_ignored_and_reported(root: Path) -> None:
    content = json.loads((root / "train.json").read_text())
    content["annotations"][1]["iscrowd"] = 1
    (root / "train.json").write_text(json.dumps(content))
    data = module(root)
    data.setup("fit")
    assert sorted(data.train_set[1]["box_labels"].tolist()) == [ignored(1), 0]
    assert [finding.detail for finding in data.data_report if finding.kind == "crowd_box"] == ["dog"]


def test_a_missing_split_is_named_when_it_is_needed(root: Path) -> None:
    data = module(root)
    data.setup("fit")
    with pytest.raises(ValueError, match="no split 'test'.*it has train, val"):
        data.setup("test")


def test_a_file_that_is_no_coco_file_is_an_error(root: Path) -> None:
    with pytest.raises(ValueError, match="no COCO file.*nope.json"):
        module(root, annotations="nope.json").setup("fit")
    for content in ("{", "[]", '{"images": []}'):
        (root / "train.json").write_text(content)
        with pytest.raises(ValueError, match="train.json' is not a COCO detection file"):
            module(root).setup("fit")
    with pytest.raises(ValueError, match="split 'training'"):
        module(root, annotations={"training": "train.json"})


@pytest.mark.skipif(not (DATA / "coco128").is_dir(), reason="no coco128 beside the checkout")
def test_coco128_is_read_and_its_known_faults_are_found() -> None:
    data = COCOFolder(
        str(DATA / "coco128"),
        CLASSES,
        annotations={"train": "instances_train2017.json", "val": "instances_val2017.json"},
        labels_csv="image_labels.csv",
        image_tasks={"present_classes": {"kind": "multilabel", "classes": CLASSES, "missing": []}},  # type: ignore[dict-item]
        image_size=(32, 32),
    )
    data.setup("fit")
    data.setup("test")
    sets = [data.train_set, data.val_set, data.test_set]
    assert [len(split) for split in sets] == [128, 64, 64]
    assert len(data.train_set.annotations.boxes) == 929
    with (DATA / "coco128/known_issues.csv").open() as file:
        rows = list(csv.DictReader(file))
    for ours, theirs in (
        ("not_rgb", "not_rgb"),
        ("no_objects", "no_label_file"),
        ("tiny_box", "tiny_box_under_16_px"),
    ):
        assert data.data_report.images(ours) == sorted(row["item"] for row in rows if row["kind"] == theirs)
    for split in sets:
        for index in range(len(split)):
            first, end = split.annotations.offsets[index : index + 2]
            present = set(split.annotations.labels[first:end].tolist())
            assert present == set(split.targets["present_classes"][index].nonzero()[0].tolist())
