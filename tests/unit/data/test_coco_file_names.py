"""File names in COCO JSON and the pictures they match: slashes, folders, pictures that are listed twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder.coco_folder import COCOFolder


def picture_set(root: Path, write: Any, names: dict[str, str], **options: Any) -> COCOFolder:
    """Files on the disk by what the JSON calls them; the cat's box of picture i is i + 1 pixels wide."""
    for i, file in enumerate(dict.fromkeys(names.values())):
        write.picture(root / file, seed=i)
    write.coco(root / "x.json", {name: [("cat", 0, 0, i + 1, 9)] for i, name in enumerate(names)})
    options = {"annotations": "x.json", "image_size": (30, 40), "fractions": [0.5, 0.5], **options}
    return COCOFolder(str(root), ["cat", "dog"], **options)


def widths(data: COCOFolder) -> dict[str, list[float]]:
    """Widths of the boxes of every picture in train and val by the file that is read."""
    data.setup("fit")
    found = {}
    for part in (data.train_set, data.val_set):
        for i in range(len(part)):
            boxes = part[i].get("boxes")
            path = Path(part.path(i)).relative_to(data.root).as_posix()
            found[path] = [] if boxes is None else (boxes[:, 2] - boxes[:, 0]).tolist()
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("sub\\a.png", "b.png"),
        ("images/sub/a.png", "images/b.png"),
        ("images\\sub\\a.png", "images\\b.png"),
        ("..\\images\\sub\\a.png", "../images/b.png"),
        ("C:\\Users\\me\\sub\\a.png", "/mnt/me/b.png"),
        ("./sub/a.png", " b.png"),
        ("sub/A.PNG", "B.png"),
        ("sub/a.jpg", "b.tif"),
        ("a.png", "b.png"),
    ],
)
def test_a_file_is_found_as_tools_name_it(tmp_path: Path, write: Any, first: str, second: str) -> None:
    data = picture_set(tmp_path, write, {first: "images/sub/a.png", second: "images/b.png"})
    assert widths(data) == {"images/sub/a.png": [1], "images/b.png": [2]}
    assert not data.data_report.images("missing_image")


def test_names_of_splits_are_those_of_the_files(tmp_path: Path, write: Any) -> None:
    names = {"images/a.png": "images/a.png", "images/b.png": "images/b.png"}
    for train, val in (("a", "b"), ("a.png", "b.png"), ("images/a", "images/b.png"), ("images\\a.png", "./b")):
        write.splits(tmp_path / "splits", train=[train], val=[val])
        data = picture_set(tmp_path, write, names, fractions=None)
        assert widths(data) == {"images/a.png": [1], "images/b.png": [2]}
        assert data.train_set.path(0).endswith("a.png")


def test_two_files_that_could_both_be_meant_are_not_guessed(tmp_path: Path, write: Any) -> None:
    write.picture(tmp_path / "images/b.png")
    names = {"cam1/a.png": "images/one/a.png", "cam2/a.png": "images/two/a.png", "b.png": "images/b.png"}
    with pytest.raises(ValueError, match="all . pictures of split"):
        picture_set(tmp_path, write, names, fractions=[0.34, 0.33, 0.33]).setup("fit")


def test_pictures_of_one_name_in_two_folders_keep_their_own_boxes(tmp_path: Path, write: Any) -> None:
    for part, width in (("train", 3), ("val", 7)):
        write.picture(tmp_path / part / "0001.png", seed=width)
        write.coco(tmp_path / f"{part}.json", {"0001.png": [("cat", 0, 0, width, 9)]})
    parts = {"train": "train", "val": "val"}
    annotations = {split: f"{split}.json" for split in parts}
    write.csv(tmp_path / "labels.csv", [{"image": "val/0001.png", "n": 2}, {"image": "train/0001.png", "n": 1}])
    options: dict[str, Any] = {"labels_csv": "labels.csv", "image_tasks": {"n": {"kind": "regression"}}}
    data = COCOFolder(str(tmp_path), ["cat"], parts, annotations, image_size=(30, 40), **options)
    assert widths(data) == {"train/0001.png": [3], "val/0001.png": [7]}
    assert (float(data.train_set[0]["n"]), float(data.val_set[0]["n"])) == (1, 2)


def test_two_files_of_one_stem_are_two_pictures(tmp_path: Path, write: Any) -> None:
    data = picture_set(tmp_path, write, {"a.png": "images/a.png", "a.jpg": "images/a.jpg"})
    assert widths(data) == {"images/a.png": [1], "images/a.jpg": [2]}


def listed_twice(root: Path, write: Any, second: list[Any]) -> COCOFolder:
    for name in ("a", "b"):
        write.picture(root / f"images/{name}.png")
    write.coco(root / "x.json", {"a.png": [("cat", 0, 0, 5, 9)], "b.png": second})
    content = json.loads((root / "x.json").read_text())
    content["images"][1]["file_name"] = "a.png"
    content["images"].append({"id": 9, "file_name": "b.png"})
    (root / "x.json").write_text(json.dumps(content))
    options: Any = {"annotations": "x.json", "fractions": [0.5, 0.5], "image_size": (30, 40)}
    return COCOFolder(str(root), ["cat", "dog"], **options)


@pytest.mark.parametrize("second", [[], [("cat", 0, 0, 5, 9)]])
def test_a_picture_that_is_listed_twice_counts_once(tmp_path: Path, write: Any, second: list[Any]) -> None:
    data = listed_twice(tmp_path, write, second)
    assert widths(data) == {"images/a.png": [5], "images/b.png": []}
    assert data.data_report.images("listed_twice") == ["a"]


@pytest.mark.parametrize("second", [[("cat", 0, 0, 6, 9)], [("dog", 0, 0, 5, 9)]])
def test_a_picture_that_is_listed_twice_with_other_boxes_is_an_error(
    tmp_path: Path, write: Any, second: list[Any]
) -> None:
    with pytest.raises(ValueError, match="picture 'a' is listed twice with different boxes.*x.json'"):
        listed_twice(tmp_path, write, second).setup("fit")


def test_a_picture_that_only_the_disk_knows_is_not_annotated_whatever_its_name(tmp_path: Path, write: Any) -> None:
    for extra in ("c[1].png", "sub/a.png"):
        write.picture(tmp_path / "images" / extra)
    write.splits(tmp_path / "splits", train=["a", "c[1]", "sub/a.png"], val=["b"])
    names = {"a.png": "images/a.png", "b.png": "images/b.png"}
    data = picture_set(tmp_path, write, names, fractions=None)
    assert widths(data) == {"images/a.png": [1], "images/b.png": [2], "images/c[1].png": [], "images/sub/a.png": []}
    assert data.data_report.images("no_annotation") == ["c[1]", "sub/a"]
