"""COCO JSON files in practice: ids of all kinds, duplicate entries, invalid boxes."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.coco_json import read_coco
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.findings import DataReport

CONTENT: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]},
        {"id": 11, "image_id": 2, "category_id": 90, "bbox": [5, 6, 7, 8]},
    ],
    "categories": [{"id": 3, "name": "dog"}, {"id": 90, "name": "cat"}],
}
RIGHT = {"a.jpg": [("dog", [1, 2, 4, 6])], "b.jpg": [("cat", [5, 6, 12, 14])]}


def read(folder: Path, content: Any, report: DataReport | None = None, **checks: Any) -> list[ListedPicture]:
    (folder / "x.json").write_text(json.dumps(content))
    return read_coco(folder / "x.json", Checks(("cat", "dog"), **checks), DataReport("x") if report is None else report)


def labels(pictures: list[ListedPicture]) -> dict[str, list[tuple[str, list[float]]]]:
    return {picture.file_name: list(zip(picture.classes, picture.boxes, strict=True)) for picture in pictures}


def changed(*changes: tuple[str, int, str, Any]) -> dict[str, Any]:
    """The content with fields of entries changed: list, entry, field, value; `...` takes the field out."""
    content = json.loads(json.dumps(CONTENT))
    for part, entry, name, value in changes:
        if value is ...:
            del content[part][entry][name]
        else:
            content[part][entry][name] = value
    return content


@pytest.mark.parametrize("form", [str, float, "{}.0".format, " {} ".format, "00{}".format, int])
@pytest.mark.parametrize("where", [("images", "id"), ("categories", "id"), ("annotations", "image_id")])
def test_an_id_means_the_same_as_number_and_as_text(tmp_path: Path, where: tuple[str, str], form: Any) -> None:
    part, name = where
    changes = [(part, i, name, form(CONTENT[part][i][name])) for i in range(2)]
    report = DataReport("x")
    assert labels(read(tmp_path, changed(*changes), report)) == RIGHT
    assert not len(report)


def test_a_text_category_of_annotations_is_found(tmp_path: Path) -> None:
    assert labels(read(tmp_path, changed(("annotations", 0, "category_id", "3")))) == RIGHT


def test_ids_that_differ_only_as_texts_stay_apart(tmp_path: Path) -> None:
    content = changed(("images", 0, "id", "1"), ("images", 1, "id", "01"), ("annotations", 0, "image_id", "1"))
    content["annotations"][1]["image_id"] = "01"
    assert labels(read(tmp_path, content)) == RIGHT
    content["annotations"][1]["image_id"] = 1
    with pytest.raises(ValueError, match="x.json': id 1 of an annotation may mean '1' or '01' in images"):
        read(tmp_path, content)


@pytest.mark.parametrize("second", [1, 1.0])
def test_two_pictures_of_one_id_are_an_error_that_lists_them(tmp_path: Path, second: Any) -> None:
    with pytest.raises(ValueError, match="x.json': 1 ids in images belong to more than one entry .1.*: a.jpg, b.jpg"):
        read(tmp_path, changed(("images", 1, "id", second)))


@pytest.mark.parametrize("part", ["images", "categories"])
def test_one_id_as_number_and_as_text_is_an_error(tmp_path: Path, part: str) -> None:
    first = CONTENT[part][0]["id"]
    with pytest.raises(ValueError, match=f"x.json': 1 ids in {part} belong to more than one entry .'{first}': "):
        read(tmp_path, changed((part, 1, "id", str(first))))


def test_two_categories_of_one_id_are_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x.json': 1 ids in categories belong to more than one .*3: dog, cat"):
        read(tmp_path, changed(("categories", 1, "id", 3)))


def test_an_entry_that_is_written_twice_is_one_entry(tmp_path: Path) -> None:
    content = changed()
    for part in ("images", "categories"):
        content[part] *= 2
    assert labels(read(tmp_path, content)) == RIGHT


def test_one_class_under_two_ids_is_one_class(tmp_path: Path) -> None:
    content, report = changed(("annotations", 0, "category_id", 4)), DataReport("x")
    content["categories"].append({"id": 4, "name": " dog"})
    assert labels(read(tmp_path, content, report)) == RIGHT
    assert [(finding.kind, finding.detail) for finding in report] == [("category_listed_twice", "dog in x.json")]


def test_an_unknown_category_is_named_with_its_annotation_or_skipped(tmp_path: Path) -> None:
    for value in (7, "7", None, ..., [3], "dog"):
        content = changed(("annotations", 0, "category_id", value))
        with pytest.raises(
            ValueError,
            match="annotation 10 of 'a.jpg' has category_id .*`categories`: 3 dog, 90 cat.*on_unknown_class: skip",
        ):
            read(tmp_path, content)
        report = DataReport("x")
        assert labels(read(tmp_path, content, report, on_unknown_class="skip")) == RIGHT | {"a.jpg": []}
        assert report.images("unknown_class") == ["a.jpg"]


def test_an_empty_box_is_no_object(tmp_path: Path) -> None:
    report = DataReport("x")
    content = changed(("annotations", 0, "bbox", []), ("annotations", 0, "category_id", 0))
    assert labels(read(tmp_path, content, report)) == RIGHT | {"a.jpg": []}
    assert not len(report)


@pytest.mark.parametrize(
    "box",
    [None, ..., [1, 2, 3], [1, 2, 3, 4, 5], ["1", "2", "3", "4"], "1 2 3 4", [1, 2, None, 4], {"x": 1}, 0, [True] * 4],
)
def test_a_box_that_is_none_is_named_with_its_annotation_or_skipped(tmp_path: Path, box: Any) -> None:
    content = changed(("annotations", 0, "bbox", box))
    with pytest.raises(ValueError, match="x.json', annotation 10 of 'a.jpg' has .*four numbers.*on_bad_box: skip"):
        read(tmp_path, content)
    for choice in ("skip", "clip"):
        report = DataReport("x")
        assert labels(read(tmp_path, content, report, on_bad_box=choice)) == RIGHT | {"a.jpg": []}
        assert report.images("bad_box") == ["a.jpg"]


@pytest.mark.parametrize(
    ("mark", "crowd"), [(1, True), ("1", True), (True, True), (0, False), ("0", False), (None, False)]
)
def test_a_crowd_is_marked_by_a_number_or_a_text(tmp_path: Path, mark: Any, crowd: bool) -> None:
    pictures = read(tmp_path, changed(("annotations", 0, "iscrowd", mark)))
    assert labels(pictures) == RIGHT
    assert {picture.file_name: picture.ignored for picture in pictures}["a.jpg"] == ([0] if crowd else [])


def test_a_crowd_without_a_box_is_left_out(tmp_path: Path) -> None:
    report = DataReport("x")
    crowd = changed(("annotations", 0, "iscrowd", 1), ("annotations", 0, "bbox", [1, 2]))
    assert labels(read(tmp_path, crowd, report)) == RIGHT | {"a.jpg": []}
    assert [finding.action for finding in report if finding.kind == "crowd_box"] == ["skipped"]


def test_annotations_that_belong_to_no_picture_are_refused_where_pictures_go_without(tmp_path: Path) -> None:
    strays = [("annotations", i, "image_id", f"a{i}") for i in range(2)]
    with pytest.raises(
        ValueError,
        match="2 of 2 annotations have an image_id that is not in `images`.*image_id 'a0', a picture has id 1",
    ):
        read(tmp_path, changed(*strays))
    half = [("annotations", 1, "image_id", 77)]
    with pytest.raises(ValueError, match="1 of 2 annotations have an image_id .* 1 of its 2 pictures have no box"):
        read(tmp_path, changed(*half))
    cut_out = changed()
    cut_out["annotations"] += [{"image_id": 100 + i, "category_id": 3, "bbox": [0, 0, 1, 1]} for i in range(9)]
    report = DataReport("x")
    assert labels(read(tmp_path, cut_out, report)) == RIGHT
    assert len(report.images("annotation_without_image")) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("images", 1, "id", ...), "images.1. is .*needs an `id`"),
        (("images", 1, "id", None), "images.1. is .*needs an `id`"),
        (("images", 1, "file_name", ...), "images.1. is .*and a `file_name`"),
        (("images", 1, "file_name", None), "images.1. is .*and a `file_name`"),
        (("categories", 0, "name", ...), "categories.0. is .*and a `name`"),
        (("categories", 0, "id", [1]), "categories.0. is .*needs an `id`"),
    ],
)
def test_an_entry_without_its_id_or_name_is_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"x.json': {message}"):
        read(tmp_path, changed(change))


@pytest.mark.parametrize(
    ("height", "width", "declared"),
    [
        (30, 40, (30, 40)),
        ("30", "40", (30, 40)),
        (None, None, None),
        (0, 0, None),
        ("x", 40, None),
        (30.0, 40, (30, 40)),
    ],
)
def test_a_size_that_is_no_number_is_no_size(tmp_path: Path, height: Any, width: Any, declared: Any) -> None:
    content = changed(("images", 0, "height", height), ("images", 0, "width", width))
    assert read(tmp_path, content)[0].declared == declared


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_mark_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_bytes(json.dumps(CONTENT).encode(encoding))
    assert labels(read_coco(tmp_path / "x.json", Checks(("cat", "dog")), DataReport("x"))) == RIGHT


def test_another_encoding_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    text = json.dumps(changed(("categories", 0, "name", "âne")), ensure_ascii=False)
    (tmp_path / "x.json").write_bytes(text.encode("cp1252"))
    with pytest.raises(ValueError, match="x.json' is not valid UTF-8"):
        read_coco(tmp_path / "x.json", Checks(("cat", "dog")), DataReport("x"))


@pytest.mark.parametrize(
    "content",
    [
        [],
        1,
        {"images": []},
        {**CONTENT, "annotations": None},
        {**CONTENT, "images": {"1": {}}},
        {**CONTENT, "categories": "x"},
    ],
)
def test_a_file_of_another_form_is_an_error(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ValueError, match="x.json' is not a COCO detection file"):
        read(tmp_path, content)


@pytest.mark.parametrize("entry", [None, 1, [], "x"])
def test_an_annotation_of_another_form_is_an_error(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ValueError, match="annotations.2. must be an object, not"):
        read(tmp_path, {**CONTENT, "annotations": [*CONTENT["annotations"], entry]})
