"""COCO on a fake in the usual layout for torchvision's `CocoDetection`."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.data.sets.benchmarks.coco_detection import CLASSES, COCODetectionData


@pytest.fixture
def root(tmp_path: Path, write: Any) -> Path:
    for part, keys in (("train2017", (9, 25)), ("val2017", (139,))):
        images, annotations = [], []
        for key in keys:
            write.picture(tmp_path / part / f"{key:012}.jpg", seed=key)
            images.append({"id": key, "file_name": f"{key:012}.jpg", "width": 40, "height": 30})
            annotations.append({"image_id": key, "category_id": 90, "bbox": [1, 2, 20, 20], "iscrowd": 0})
        content = {"images": images, "annotations": annotations, "categories": [{"id": 90, "name": "toothbrush"}]}
        file = tmp_path / f"annotations/instances_{part}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return tmp_path


def test_it_has_the_80_classes_in_order() -> None:
    assert len(CLASSES) == 80
    assert (CLASSES[0], CLASSES[11], CLASSES[79]) == ("person", "stop sign", "toothbrush")


def test_each_part_has_its_own_folder_and_file(root: Path) -> None:
    data = COCODetectionData(str(root), image_size=(30, 40))
    data.setup("fit")
    assert [data.train_set.name(i) for i in range(2)] == ["000000000009", "000000000025"]
    sample = data.val_set[0]
    assert sample["boxes"].tolist() == [[1, 2, 21, 22]]
    assert sample["box_labels"].tolist() == [79]
    assert sample["present_classes"].nonzero().tolist() == [[79]]


def test_the_validation_pictures_stand_in_for_the_test_set(root: Path) -> None:
    data = COCODetectionData(str(root), image_size=(30, 40))
    data.setup("test")
    assert data.test_set.name(0) == "000000000139"
    assert [finding.kind for finding in data.data_report] == ["same_pictures"]


def test_missing_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no COCO file.*instances_train2017.json"):
        COCODetectionData(str(tmp_path)).setup("fit")
