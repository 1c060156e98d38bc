"""CreateML JSON: boxes by their center or corner, and files that are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.listed.createml_folder import CreateMLFolder
from mtl.data.formats.recognise import recognise

SIDES = {"x": 20, "y": 15, "width": 10, "height": 6}


def folder(root: Path, content: Any, **options: Any) -> CreateMLFolder:
    (root / "images").mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / f"images/{name}.jpg")
    (root / "annotations.json").write_text(content if isinstance(content, str) else json.dumps(content))
    data = CreateMLFolder(str(root), **options)
    data.names()
    return data


def entry(image: str, *boxes: Any, label: Any = "cat") -> dict[str, Any]:
    return {"image": image, "annotations": [{"label": label, "coordinates": box} for box in boxes]}


def test_x_and_y_are_the_center_or_the_corner(tmp_path: Path) -> None:
    content = [entry("a.jpg", SIDES), entry("b.jpg")]
    data = folder(tmp_path, content)
    assert data.record("a").boxes.tolist() == [[15, 12, 25, 18]]
    assert folder(tmp_path, content, origin="top_left").record("a").boxes.tolist() == [[20, 15, 30, 21]]
    assert [(data.record(name).annotated, len(data.record(name).boxes)) for name in "bc"] == [(True, 0), (False, 0)]
    assert data.box_classes == ("cat",)


def test_shares_are_known_by_their_size(tmp_path: Path) -> None:
    shares = {"x": 0.5, "y": 0.5, "width": 0.5, "height": 0.25}
    assert folder(tmp_path, [entry("a.jpg", shares)]).record("a").boxes.tolist() == [[15, 15, 45, 25]]
    assert folder(tmp_path, [entry("a.jpg", shares)], box_unit="px").record("a").boxes.tolist() == [
        [0.25, 0.375, 0.75, 0.625]
    ]


@pytest.mark.parametrize("box", [None, {}, {**SIDES, "x": "left"}, {**SIDES, "x": 1e999}, {**SIDES, "width": None}])
def test_a_box_without_four_numbers_is_refused_or_skipped(tmp_path: Path, box: Any) -> None:
    with pytest.raises(ValueError, match="a box of 'a.jpg' has the coordinates .*needs x, y, width, height"):
        folder(tmp_path, [entry("a.jpg", box)])
    data = folder(tmp_path, [entry("a.jpg", box)], on_bad_box="skip")
    assert data.data_report.images("bad_box") == ["a.jpg"]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is no CreateML file"),
        ({"images": []}, "it is no list of pictures"),
        ([{"annotations": []}], r"entry 0 is .* names no picture in `image`"),
        ([{"image": "a.jpg", "annotations": [1]}], "annotations of 'a.jpg' are no list of objects"),
        ([entry("a.jpg", SIDES, label=None)], "a box of 'a.jpg' has no `label`"),
    ],
)
def test_a_file_of_another_kind_says_what_it_needs(tmp_path: Path, content: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        folder(tmp_path, content, box_classes=["cat"])


def test_a_file_without_labels_or_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no box with a label, so there are no class names"):
        folder(tmp_path, [entry("a.jpg")])
    with pytest.raises(ValueError, match="no CreateML file .*Correct `annotations` or `root`"):
        folder(tmp_path, [], annotations="x.json")


def test_the_origin_is_the_one_that_keeps_boxes_in_their_pictures(tmp_path: Path) -> None:
    folder(tmp_path, [entry("a.jpg", {"x": 2, "y": 2, "width": 30, "height": 20})], box_classes=["cat"])
    assert recognise(tmp_path).init_args == {"origin": "top_left"}
    folder(tmp_path, [entry("a.jpg", {"x": 45, "y": 30, "width": 30, "height": 20})], box_classes=["cat"])
    assert recognise(tmp_path).init_args == {}
