"""LabelMe JSON files: shapes as boxes, and files that are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.annotation_files import AnnotationFiles
from mtl.data.folder.labelme_folder import LabelMeFolder
from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.formats.recognise import recognise


def folder(root: Path, shapes: Any, **options: Any) -> LabelMeFolder:
    for name in ("a", "b"):
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / f"images/{name}.jpg")
    document = {"shapes": shapes, "imagePath": "a.jpg", "imageData": None, "imageHeight": 40, "imageWidth": 60}
    (root / "images/a.json").write_text(json.dumps(document))
    data = LabelMeFolder(str(root), **{"annotations": "images", **options})
    data.names()
    return data


def shape(kind: str | None, points: Any, label: Any = "cat") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "flags": {}}


def test_a_shape_is_the_box_around_it_and_points_are_left_out(tmp_path: Path) -> None:
    shapes = [
        shape("rectangle", [[30, 20], [6, 4.5]]),
        shape(None, [[6, 4], [30, 8], [10, 20]], "dog"),
        shape("circle", [[20, 20], [23, 24]]),
        shape("point", [[3, 3]], "eye"),
        shape("linestrip", [[3, 3], [5, 5]], "eye"),
    ]
    data = folder(tmp_path, shapes)
    record = data.record("a")
    assert record.boxes.tolist() == [[6, 4.5, 30, 20], [6, 4, 30, 20], [15, 15, 25, 25]]
    assert (record.classes, record.declared, data.box_classes) == (["cat", "dog", "cat"], (40, 60), ("cat", "dog"))
    assert [finding.detail for finding in data.data_report] == ["point eye", "linestrip eye"]


def test_a_file_without_shapes_says_that_there_is_no_object(tmp_path: Path) -> None:
    data = folder(tmp_path, [], box_classes=["cat"])
    assert [data.record(name).annotated for name in ("a", "b")] == [True, False]
    with pytest.raises(ValueError, match="1 JSON files below .* have no shape with a label"):
        folder(tmp_path, [])


@pytest.mark.parametrize("points", [[], [[1, 2]], None, [[1, 2, 3], [1, 2, 3]], "12", [[1, "x"], [2, 3]]])
def test_a_shape_without_a_box_is_refused_or_skipped(tmp_path: Path, points: Any) -> None:
    with pytest.raises(ValueError, match=r"a.json': shape 1 \(rectangle cat\) has the points .*on_bad_box: skip"):
        folder(tmp_path, [shape("rectangle", points)]).record("a")
    data = folder(tmp_path, [shape("rectangle", points)], on_bad_box="skip")
    assert (len(data.record("a").boxes), data.data_report.images("bad_box")) == (0, ["a"])


def test_a_shape_without_a_label_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape 1 has no label.*on_unknown_class: skip"):
        folder(tmp_path, [shape("rectangle", [[1, 1], [5, 5]], None)], box_classes=["cat"]).record("a")
    for text in ("{", "[]", '{"shapes": 1}', '{"shapes": [1]}'):
        data = folder(tmp_path, [], box_classes=["cat"])
        (tmp_path / "images/a.json").write_text(text)
        with pytest.raises(ValueError, match="a.json' is no LabelMe file.*or remove it"):
            data.record("a")


def test_another_json_file_gives_no_classes_and_is_reported(tmp_path: Path) -> None:
    folder(tmp_path, [shape("rectangle", [[1, 1], [5, 5]])])
    (tmp_path / "images/info.json").write_text("{}")
    data = LabelMeFolder(str(tmp_path), annotations="images")
    data.names()
    assert (data.box_classes, data.data_report.images("annotation_without_image")) == (("cat",), ["info"])
    (tmp_path / "images/a.json").unlink()
    with pytest.raises(ValueError, match="info.json' is no LabelMe file"):
        LabelMeFolder(str(tmp_path), annotations="images")


@pytest.mark.parametrize(("suffix", "cls"), [(".json", LabelMeFolder), (".xml", VOCFolder)])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, suffix: str, cls: type[AnnotationFiles]) -> None:
    folder(tmp_path, [shape("rectangle", [[1, 1], [5, 5]])])
    (tmp_path / "images/b").with_suffix(suffix).symlink_to(tmp_path / "nowhere")
    assert recognise(tmp_path).class_path == "LabelMeFolder"
    data = cls(str(tmp_path), ["cat"], annotations="images")
    data.names()
    with pytest.raises(ValueError, match=rf"annotation '.*b{suffix}' is no file that can be read.*leads nowhere"):
        data.record("b")
    (tmp_path / "images/a.json").unlink()
    with pytest.raises(ValueError, match=rf"annotation '.*b{suffix}' is no file that can be read.*leads nowhere"):
        cls(str(tmp_path), annotations="images")


def test_files_of_other_pictures_are_no_labelme(tmp_path: Path) -> None:
    folder(tmp_path, [shape("rectangle", [[1, 1], [5, 5]])])
    assert recognise(tmp_path).init_args == {"annotations": "images"}
    (tmp_path / "images/a.json").rename(tmp_path / "images/settings.json")
    with pytest.raises(ValueError, match=r"settings.json is a LabelMe file, but no picture is called settings"):
        recognise(tmp_path)
