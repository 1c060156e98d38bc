"""BDD100K on a fake in its folders: boxes of merged classes, drivable area and lanes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.sets.benchmarks.bdd100k import BDD100K
from tests.unit.data.conftest import Writer

OBJECTS: list[dict[str, Any]] = [
    {"category": "truck", "box2d": {"x1": 4, "y1": 3, "x2": 20, "y2": 18}},
    {"category": "person", "box2d": {"x1": 1, "y1": 1, "x2": 3, "y2": 9}},
    {"category": "lane/single white", "poly2d": [[1, 2, "L"]]},
    {"category": "car", "box2d": {"x1": 22, "y1": 5, "x2": 39, "y2": 28}},
]


@pytest.fixture
def root(tmp_path: Path, write: Writer) -> Path:
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            write.picture(tmp_path / f"images/{split}/{split}{number}.jpg", seed=number)
            annotation = tmp_path / f"det_annotations/{split}/{split}{number}.json"
            annotation.parent.mkdir(parents=True, exist_ok=True)
            annotation.write_text(json.dumps({"frames": [{"objects": OBJECTS if number else []}]}))
            for folder, value in (("da_seg_annotations", 127), ("ll_seg_annotations", 255)):
                mask = np.zeros((30, 40), np.uint8)
                mask[20:] = value
                path = tmp_path / folder / split / f"{split}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
    return tmp_path


def test_vehicles_are_one_class_and_masks_have_two(root: Path) -> None:
    data = BDD100K(str(root), check=False, image_size=(30, 40))
    data.setup("fit")
    data.setup("test")
    assert {name: task.class_names for name, task in data.tasks.items()} == {
        "boxes": ("vehicle",),
        "drivable": ("other", "drivable"),
        "lanes": ("other", "lane"),
    }
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [4, 2, 2]  # type: ignore[arg-type]
    empty, sample = data.train_set[0], data.train_set[1]
    assert len(empty["boxes"]) == 0
    assert sample["boxes"].tolist() == [[4, 3, 20, 18], [22, 5, 39, 28]]
    assert sample["box_labels"].tolist() == [0, 0]
    for name in ("drivable", "lanes"):
        assert (sample[name][:20] == 0).all()
        assert (sample[name][20:] == 1).all()


def test_other_categories_on_request(root: Path) -> None:
    data = BDD100K(str(root), {"person": "person", "car": "car", "truck": "car"}, check=False, image_size=(30, 40))
    data.setup("fit")
    assert data.tasks["boxes"].class_names == ("person", "car")
    assert data.train_set[1]["box_labels"].tolist() == [1, 0, 1]


def test_counts_and_annotations_are_checked(root: Path) -> None:
    with pytest.raises(ValueError, match="has 4 pictures; the benchmark has 70000"):
        BDD100K(str(root)).setup("fit")
    (root / "det_annotations/val/val1.json").write_text("{}")
    with pytest.raises(ValueError, match=r"val1.json' is no annotation of BDD100K \(KeyError"):
        BDD100K(str(root), check=False, image_size=(30, 40)).setup("fit")
