"""Data sets as strangers have them: each file is read right, or a message names it; nothing is waited for."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.voc_folder import VOCFolder

Change = Callable[[Path], Any]
BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>10</ymax></bndbox>"
OBJECT = f"<object><name>cat</name>{BOX}</object>"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def voc(root: Path, **options: Any) -> dict[str, tuple[int | None, float | None]]:
    """Number of boxes and label of every training picture, None where it is not annotated."""
    tasks = {"n": {"kind": "regression"}}
    table: dict[str, Any] = {"labels_csv": "labels.csv", "image_tasks": tasks} if (root / "labels.csv").exists() else {}
    data = VOCFolder(str(root), ["cat", "dog"], image_size=(30, 40), **table, **options)
    data.setup("fit")
    read = {}
    for index in range(len(data.train_set)):  # type: ignore[arg-type]
        sample = data.train_set[index]
        label = sample["n"].item() if "n" in sample else None
        read[data.train_set.name(index)] = (len(sample["boxes"]) if "boxes" in sample else None, label)
    return read


def text(file: str, content: str, encoding: str = "utf-8") -> Change:
    return lambda root: (root / file).write_bytes(content.encode(encoding))


def xml(content: str, encoding: str = "utf-8") -> Change:
    return text("annotations/p1.xml", content, encoding)


def replace(file: str, by: Callable[[Path], Any]) -> Change:
    return lambda root: ((root / file).unlink(), by(root / file))


READ: dict[str, tuple[Change, tuple[int | None, float | None]]] = {
    "XML with a namespace": (xml(f'<annotation xmlns="http://x">{OBJECT}</annotation>'), (1, None)),
    "XML with large tags": (xml(f"<annotation>{OBJECT}</annotation>".upper().replace("CAT", "cat")), (1, None)),
    "XML in UTF-16": (xml(f"<annotation>{OBJECT}</annotation>", "utf-16"), (1, None)),
    "XML in GB 18030": (
        xml(f'<?xml version="1.0" encoding="gb18030"?><annotation><folder>中</folder>{OBJECT}</annotation>', "gb18030"),
        (1, None),
    ),
    "XML with two of each": (
        xml(f"<annotation><object><name>cat</name><name>x</name>{BOX}{BOX}</object></annotation>"),
        (1, None),
    ),
    "CSV: blanks after commas": (text("labels.csv", '"image", "n"\n"p1", "2"\n'), (2, 2)),
    "CSV: sep=, of Excel": (text("labels.csv", "sep=,\nimage,n\np1,2\n"), (2, 2)),
    "CSV: sep=; of Excel": (text("labels.csv", "sep=;\r\nimage;n\r\np1;2\r\n"), (2, 2)),
    "CSV: semicolons": (text("labels.csv", "image;n;of\np1;2;a,b\n"), (2, 2)),
    "CSV: tabs": (text("labels.csv", "image\tn\np1\t2\n"), (2, 2)),
    "CSV: pipes": (text("labels.csv", "image|n\np1|2\n"), (2, 2)),
    "CSV: empty lines first": (text("labels.csv", "\n \nimage,n\np1,2\n"), (2, 2)),
    "CSV: UTF-16 without a mark": (text("labels.csv", "image,n\np1,2\n", "utf-16-le"), (2, 2)),
    "CSV: old Mac": (text("labels.csv", "image,n\rp1,2\r"), (2, 2)),
    "CSV: a line in a cell": (text("labels.csv", 'image,n,c\np1,2,"a\nb"\n'), (2, 2)),
    "split: UTF-16-BE without a mark": (text("splits/train.txt", "p1\np2\n", "utf-16-be"), (2, None)),
    "split: old Mac": (text("splits/train.txt", "p1\rp2\r"), (2, None)),
    "split: name of 300 letters": (text("splits/train.txt", "x" * 300 + "\np1\n"), (2, None)),
    "pictures of a linked folder": (
        lambda root: (shutil.move(root / "images", root / "other"), (root / "images").mkdir(),
                      (root / "images/far").symlink_to(root / "other")),
        (2, None),
    ),
    "a link to the folder above": (lambda root: (root / "images/loop").symlink_to(root), (2, None)),
    "forks of a Mac": (lambda root: (root / "images/._p1.png").write_bytes(b"\0\5\x16\7"), (2, None)),
    "copies of notebooks": (
        lambda root: shutil.copytree(root / "images", root / "images/.ipynb_checkpoints/x"),
        (2, None),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_is_read(voc_root: Path, case: str) -> None:
    change, expected = READ[case]
    change(voc_root)
    read = voc(voc_root)
    assert {name.rpartition("/")[2]: found for name, found in read.items()}["p1"] == expected


REFUSED: dict[str, tuple[Change, str]] = {
    "XML of another kind": (xml("<annotations><image/></annotations>"), r"p1\.xml' is no VOC file.*<annotations>"),
    "XML: a page": (xml("<html><body/></html>"), r"p1\.xml' is no VOC file.*<html>"),
    "XML: object without a name": (xml(f"<annotation><object>{BOX}</object></annotation>"), "object 1 has no name"),
    "XML: NaN": (xml(f"<annotation>{OBJECT.replace('10', 'nan')}</annotation>"), r"p1\.xml': an object 'cat'"),
    "XML: 1e400": (xml(f"<annotation>{OBJECT.replace('10', '1e400')}</annotation>"), r"p1\.xml': an object 'cat'"),
    "XML: dead link": (replace("annotations/p1.xml", lambda path: path.symlink_to("nowhere")), r"p1\.xml' is no file"),
    "XML: pipe": (replace("annotations/p1.xml", os.mkfifo), r"p1\.xml' is no file"),
    "picture: pipe": (replace("images/p1.png", os.mkfifo), r"p1\.png' cannot be decoded.*no regular file"),
    "picture: empty": (text("images/p1.png", ""), r"p1\.png' cannot be decoded.*the file is empty"),
    "picture: pointer": (text("images/p1.png", "version https://git-lfs"), r"p1\.png' cannot be decoded"),
    "CSV: a spreadsheet": (text("labels.csv", "PK\x03\x04..."), r"labels\.csv' is a ZIP archive.*\.xlsx"),
    "CSV: compressed": (text("labels.csv", "\x1f\x8b...", "latin-1"), r"labels\.csv' is compressed by gzip"),
    "CSV: semicolon, comma": (text("labels.csv", "image;n;x,y\np1;2;3\n"), r"labels\.csv.*separator is not a comma"),
    "CSV: decimal commas": (text("labels.csv", "image;n\np1;2,5\n"), r"labels\.csv.*point in place of the comma"),
    "CSV: a column twice": (text("labels.csv", "image,n,n\np1,2,3\n"), r"labels\.csv' has two columns called 'n'"),
    "CSV: latin-1": (text("labels.csv", "image,n\npé,2\n", "latin-1"), r"labels\.csv' is not valid UTF-8.*line 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_by_name(voc_root: Path, case: str) -> None:
    change, message = REFUSED[case]
    change(voc_root)
    with pytest.raises(ValueError, match=message) as caught:
        voc(voc_root)
    assert str(caught.value).count("\n") < 5


def test_pictures_that_are_none_are_skipped_where_that_is_wanted(voc_root: Path) -> None:
    (voc_root / "images/p1.png").unlink()
    os.mkfifo(voc_root / "images/p1.png")
    assert set(voc(voc_root, on_bad_image="skip")) == {"p0", "p2", "p3"}
    xml(f"<annotation><object>{BOX}</object>{OBJECT.replace('10', 'nan')}{OBJECT}</annotation>")(voc_root)
    Image.new("RGB", (40, 30)).save(voc_root / "images/p1.jpg")
    (voc_root / "images/p1.png").unlink()
    assert voc(voc_root, on_unknown_class="skip", on_bad_box="skip")["p1"] == (1, None)


def test_a_name_that_is_not_utf_8_is_refused_where_it_is_used(
    voc_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.rename(voc_root / "images/p1.png", os.fsencode(str(voc_root / "images")) + b"/p\xe9.png")
    assert "p0" in voc(voc_root, splits="splits", report_csv=str(tmp_path / "report.csv"))  # the splits do not name it
    assert "p\\udce9" in (tmp_path / "report.csv").read_text("utf-8")
    caplog.text.encode()
    with pytest.raises(ValueError, match=r"the name of file 'p\\udce9' is not UTF-8"):
        voc(voc_root, fractions=[0.8, 0.2])


@pytest.mark.parametrize(
    "value",
    [
        [float("nan")] * 4,
        [1, 2, float("inf"), 3],
        [1, 2, 10**400, 3],
        [1, 2, None, 4],
        [1, True, 3, 4],
        "1 2 3 4",
        {"x": 1},
    ],
)
def test_a_box_that_is_no_four_numbers_is_named_shortly_or_skipped(voc_root: Path, write: Any, value: Any) -> None:
    write.coco(voc_root / "annotations.json", {f"p{i}.png": [("cat", 1.0, 2.0, 9.0, 9.0)] * 2 for i in range(6)})
    document = json.loads((voc_root / "annotations.json").read_text())
    document["annotations"][0]["bbox"] = value
    (voc_root / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"annotations\.json', annotation 0 of 'p0\.png' has the bbox") as caught:
        COCOFolder(str(voc_root), ["cat"]).setup("fit")
    assert len(str(caught.value).partition("has the bbox")[2]) < 300
    data = COCOFolder(str(voc_root), ["cat"], on_bad_box="skip")
    data.setup("fit")
    assert len(data.train_set[0]["boxes"]) == 1


@pytest.mark.parametrize("name", ["p1.png\0", "x" * 300 + ".png", "a/" * 99 + ".png", "\ud800.png", ".."])
def test_a_file_name_that_no_file_can_have_is_a_missing_picture(voc_root: Path, write: Any, name: str) -> None:
    write.coco(voc_root / "annotations.json", {f"p{i}.png": [("cat", 1.0, 2.0, 9.0, 9.0)] for i in range(6)})
    document = json.loads((voc_root / "annotations.json").read_text())
    document["images"][1]["file_name"] = name
    (voc_root / "annotations.json").write_text(json.dumps(document))
    data = COCOFolder(str(voc_root), ["cat"])
    data.setup("fit")
    assert {data.train_set.name(index) for index in range(len(data.train_set))} >= {"p0", "p2", "p3"}


def test_a_name_as_in_an_address_is_found_and_a_percent_sign_is_one(voc_root: Path, write: Any) -> None:
    for old, new in (("p0", "a b"), ("p1", "a%20c"), ("p2", "100%")):
        (voc_root / f"images/{old}.png").rename(voc_root / f"images/{new}.png")
    names = ["a%20b.png", "a%20c.png", "100%.png", "p3.png"]
    write.coco(voc_root / "annotations.json", {name: [("cat", 1.0, 2.0, 9.0, 9.0)] for name in names})
    write.splits(voc_root / "splits", train=["a b", "a%20c", "100%"], val=["p3"])
    data = COCOFolder(str(voc_root), ["cat"])
    data.setup("fit")
    assert [len(data.train_set[index]["boxes"]) for index in range(3)] == [1, 1, 1]


def test_a_file_that_goes_after_the_start_is_named_by_the_step(voc_root: Path) -> None:
    data = VOCFolder(str(voc_root), ["cat", "dog"], image_size=(30, 40))
    data.setup("fit")
    (voc_root / "images/p1.png").unlink()
    (voc_root / "images/p2.png").write_bytes(b"")
    for index, message in ((1, r"p1\.png' cannot be decoded \(FileNotFoundError"), (2, r"p2\.png'.*the file is empty")):
        with pytest.raises(ValueError, match=message):
            data.train_set[index]
    assert np.asarray(data.train_set[0]["image"]).any()


@pytest.mark.parametrize("file", ["labels.csv", "splits/train.txt", "annotations/p1.xml", "images/p1.png"])
def test_a_file_without_the_right_to_read_it_is_named(
    voc_root: Path, write: Any, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write.csv(voc_root / "labels.csv", [{"image": "p1", "n": 2}])
    opened, builtin = os.open, open

    def refuse(path: Any, *args: Any, **options: Any) -> Any:
        if str(path).endswith(file):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    def refuse_too(path: Any, *args: Any, **options: Any) -> Any:
        if str(path).endswith(file):
            raise PermissionError(13, "Permission denied", str(path))
        return builtin(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse_too)
    with pytest.raises((ValueError, PermissionError), match=Path(file).name):
        voc(voc_root)
