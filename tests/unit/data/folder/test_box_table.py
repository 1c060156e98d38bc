"""Boxes in the rows of a CSV: columns by their names, empty cells, shares, and rows that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.files.box_rows import find_columns, guess_unit
from mtl.data.folder.labelme_folder import LabelMeFolder
from mtl.data.folder.listed.box_table import BoxTable
from mtl.data.folder.splits import SPLITS
from mtl.data.formats.recognise import recognise
from mtl.evaluation.data.new_config import new_config

HEIGHT, WIDTH = 40, 60
BOX = (6.0, 4.0, 36.0, 24.0)  # of every form below, xyxy in pixels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
    return tmp_path


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(path)


def table(root: Path, *lines: str, **options: Any) -> BoxTable:
    (root / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = BoxTable(str(root), **options)
    data.names()
    return data


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,60,40,cat,6,4,36,24"),
        ("image_path,x1,y1,x2,y2,label", "images/a.jpg,6,4,36,24,cat"),
        ("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax", "a,x,cat,1,0.1,0.6,0.1,0.6"),
        ("image_id,width,height,bbox,label", 'a,60,40,"[6.0, 4.0, 30.0, 20.0]",cat'),
        ("image_name,BoxesString,class", "a.jpg,6 4 36 24,cat"),
        (
            "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
            "cat,6,4,30,20,a,60,40",
        ),
        ("file;Class Name;x_center;y_center;width;height", "a;cat;0,35;0,35;0,5;0,5"),
        ("Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path", "60,40,6,4,36,24,cat,Train/a.png"),
        ("img,category,bbox_left,bbox_top,bbox_right,bbox_bottom", "C:\\data\\a.jpg,cat,6,4,36,24"),
    ],
)
def test_columns_are_known_by_their_usual_names(root: Path, header: str, row: str) -> None:
    data = table(root, header, row)
    record = data.record("a")
    np.testing.assert_allclose(record.boxes, [BOX])
    assert (record.classes, data.box_classes) == (["cat"], ("cat",))
    assert record.declared in (None, (HEIGHT, WIDTH))


def test_columns_of_other_names_are_set(root: Path) -> None:
    lines = ("bild,art,l,o,b,h", "a,cat,6,4,30,20")
    with pytest.raises(ValueError, match="has the columns bild, art, l, o, b, h; needed are.*Set `image_column`"):
        table(root, *lines)
    names = {"image_column": "bild", "class_column": "art", "box_columns": ["l", "o", "b", "h"]}
    np.testing.assert_allclose(table(root, *lines, box_form="xywh", **names).record("a").boxes, [BOX])
    with pytest.raises(ValueError, match=r"no column 'Art'; it has bild, art, l, o, b, h\. Did you mean 'art'"):
        table(root, *lines, **{**names, "class_column": "Art"})
    with pytest.raises(ValueError, match="must be the four columns of a box"):
        table(root, *lines, **{**names, "box_columns": ["l", "o"]})


def test_rows_of_one_picture_are_its_boxes_and_an_empty_one_says_that_there_is_no_object(root: Path) -> None:
    data = table(root, "image,x1,y1,x2,y2,class", "a,1,1,9,9,cat", "b,,,,,", "a,2,2,20,20,dog")
    assert data.record("a").classes == ["cat", "dog"]
    assert [(data.record(name).annotated, len(data.record(name).boxes)) for name in "bc"] == [(True, 0), (False, 0)]
    assert data.box_classes == ("cat", "dog")
    data = table(root, "image,x1,y1,x2,y2,class", "a,1,1,9,9,cat", not_listed="no_objects")
    assert data.record("c").annotated
    assert not data.record("nowhere").annotated


def test_a_cell_may_hold_several_boxes_or_say_that_there_is_none(root: Path) -> None:
    data = table(root, "image_name,BoxesString,domain", "a,1 1 9 9;2 2 20 20,x", "b,no_box,x", 'c,"[[1, 1, 5, 5]]",y')
    assert data.box_classes == ("object",)
    assert [data.record(name).boxes.tolist() for name in "abc"] == [[[1, 1, 9, 9], [2, 2, 20, 20]], [], [[1, 1, 5, 5]]]
    assert data.record("b").annotated


def test_four_zeros_stand_for_no_box(root: Path) -> None:
    data = table(root, "image,x1,y1,x2,y2,class", "a,0,0,0,0,nothing", "b,0,0,9,9,cat")
    assert (data.box_classes, len(data.record("a").boxes), data.record("a").annotated) == (("cat",), 0, True)


def test_a_file_without_a_line_of_names_has_the_columns_that_are_given(root: Path) -> None:
    lines = ("images/a.jpg,6,4,36,24,cat", "images/b.jpg,,,,,")
    with pytest.raises(ValueError, match="or `header` if the first line is a row"):
        table(root, *lines)
    data = table(root, *lines, header=["image", "x1", "y1", "x2", "y2", "class"])
    np.testing.assert_allclose(data.record("a").boxes, [BOX])
    assert data.record("b").annotated


@pytest.mark.parametrize("cells", ["1,1,x,9", "1,1,,9", "1,1,nan,9", "1,1,1e999,9"])
def test_a_box_that_is_not_four_numbers_is_named_with_its_line(root: Path, cells: str) -> None:
    lines = ("image,x1,y1,x2,y2,class", "b,1,1,9,9,cat", f"a,{cells},cat")
    with pytest.raises(ValueError, match=r"annotations.csv', line 3: the box of 'a' is '.*on_bad_box: skip"):
        table(root, *lines)
    data = table(root, *lines, on_bad_box="skip")
    assert (data.data_report.images("bad_box"), len(data.record("a").boxes)) == (["a"], 0)


def test_a_box_without_a_class_or_a_picture_is_named_with_its_line(root: Path) -> None:
    header = "image,x1,y1,x2,y2,class"
    with pytest.raises(ValueError, match="line 3: the box of 'a' has no class in column 'class'"):
        table(root, header, "b,1,1,9,9,cat", "a,1,1,9,9,")
    assert table(root, header, "a,1,1,9,9,", "b,1,1,9,9,cat", on_unknown_class="skip").record("a").classes == []
    with pytest.raises(ValueError, match="line 2: column 'image' names no picture"):
        table(root, header, ",1,1,9,9,cat")
    with pytest.raises(ValueError, match="has no row with a box and its class"):
        table(root, header, "a,,,,,")
    with pytest.raises(ValueError, match="box_classes has 2.*set `class_column`"):
        table(root, "image,x1,y1,x2,y2,art", "a,1,1,9,9,cat", box_classes=["cat", "dog"])


def test_boxes_around_groups_are_ignored(root: Path) -> None:
    data = table(root, "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf", "a,cat,0,1,0,1,1", "a,cat,0.1,0.6,0.1,0.6,0")
    record = data.record("a")
    assert (record.ignored, len(record.boxes)) == (frozenset({0}), 2)


def test_the_unit_is_a_share_if_hardly_a_number_is_larger(root: Path) -> None:
    assert guess_unit([[0, 0, 0.5, 1.02]] * 200 + [[0, 0, 0.5, 40]]) == "share"
    assert guess_unit([[0, 0, 3, 4]]) == guess_unit([]) == "px"
    lines = ("image,x1,y1,x2,y2,class", "a,0,0,1,1,cat")
    assert table(root, *lines).record("a").boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]
    assert table(root, *lines, box_unit="px").record("a").boxes.tolist() == [[0, 0, 1, 1]]


def test_shares_of_a_picture_that_is_stored_sideways(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(root / "images/a.jpg", exif=exif)
    lines = ("image,x1,y1,x2,y2,class", "a,0.1,0.1,0.6,0.6,cat", "b,0,0,1,1,cat")
    upright = [HEIGHT * 0.1, WIDTH * 0.1, HEIGHT * 0.6, WIDTH * 0.6]
    np.testing.assert_allclose(table(root, *lines).record("a").boxes, [upright])
    stored = table(root, *lines, boxes_on="stored").record("a")
    np.testing.assert_allclose(stored.boxes, [[WIDTH * 0.1, HEIGHT * 0.1, WIDTH * 0.6, HEIGHT * 0.6]])


def test_a_table_for_each_split_defines_the_splits_and_each_is_beside_its_pictures(root: Path) -> None:
    for split in ("train", "val"):
        write_picture(root / split / "a.jpg")
        (root / split / "boxes.csv").write_text("file,class,x1,y1,x2,y2\na.jpg,cat,1,1,9,9\n")
    write_picture(root / "train/more.jpg")
    files = {split: f"{split}/boxes.csv" for split in ("train", "val")}
    data = BoxTable(str(root), images=".", annotations=files, image_size=(HEIGHT, WIDTH))
    assert data.read_splits(data.names()) == {"train": ["train/a"], "val": ["val/a"]}
    assert not data.data_report.findings
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        BoxTable(str(root), ["cat"], annotations={"dev": "train/boxes.csv"})


def test_names_without_a_picture_are_reported_and_explained(root: Path) -> None:
    data = table(root, "file,class,x1,y1,x2,y2", "x.jpg,cat,1,1,9,9", "y.jpg,cat,1,1,9,9")
    assert data.data_report.images("annotation_without_image") == ["x.jpg", "y.jpg"]
    assert "lists none of its pictures, for example 'a'; the first of 2 without a picture is 'x.jpg'" in (
        data.explain_source("a")
    )
    with pytest.raises(ValueError, match="listed twice with different boxes.*'line 3' in"):
        table(root, "file,class,x1,y1,x2,y2", "a,cat,1,1,9,9", "a.jpg,cat,1,1,9,8")


def test_a_picture_without_boxes_among_shares_has_the_pixels_of_another_table(root: Path) -> None:
    write_lines(root, "train.csv", ["image,x1,y1,x2,y2,class", "a,,,,,", "b,0.1,0.1,0.6,0.6,cat"])
    write_lines(root, "val.csv", ["image,x1,y1,x2,y2,class", "a,6,4,36,24,cat"])
    data = BoxTable(str(root), annotations={"train": "train.csv", "val": "val.csv"})
    data.names()
    np.testing.assert_allclose([data.record(name).boxes[0] for name in "ab"], [BOX, BOX])


def test_a_missing_table_says_what_to_set(root: Path) -> None:
    with pytest.raises(ValueError, match=r"no table '.*nowhere.csv'. Correct `annotations` or `root`"):
        BoxTable(str(root), annotations="nowhere.csv")


def test_only_columns_that_are_together_are_a_box() -> None:
    assert find_columns(["image", "x", "y", "age"]) is None
    assert find_columns(["xmin", "ymin", "xmax", "ymax"]) is None, "no pictures"
    found = find_columns(["file", "x", "y", "w", "h", "width", "height"])
    assert found is not None
    assert (found.boxes, found.form, found.size) == (("x", "y", "w", "h"), "xywh", ("width", "height"))
    assert found.all() == {"file", "x", "y", "w", "h", "width", "height"}


def write_lines(root: Path, name: str, lines: list[str]) -> None:
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_what_is_found_is_said_in_the_arguments(root: Path) -> None:
    rows = [f"{name},{x0},2,{x0 + 30},30,{name}{place}" for name in "abc" for place, x0 in enumerate((3, 9))]
    write_lines(root, "x.csv", ["patient,x1,y1,x2,y2,finding", *(row.replace("0,", "0,") for row in rows)])
    found = recognise(root)
    assert found.class_path == "BoxTable"
    assert found.init_args == {"annotations": "x.csv", "image_column": "patient"}
    assert any("all boxes are of one class" in note for note in found.notes)


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("images/{}.jpg,6,4,36,24,cat", ["image", "xmin", "ymin", "xmax", "ymax", "class"]),
        ("{}.jpg,6,4,36,24,cat,60,40", ["image", "xmin", "ymin", "xmax", "ymax", "class", "width", "height"]),
        ("cat,30,4,20,24,{}.jpg,60,40", ["class", "x", "y", "w", "h", "image", "width", "height"]),
        ("{},cat,30,4,20,24", ["image", "class", "x", "y", "w", "h"]),
        ("TRAIN,gs://me/{}.jpg,cat,.1,.1,,,.6,.6,,", list("012345")),
    ],
)
def test_a_table_without_a_line_of_names_gets_them(root: Path, row: str, header: list[str]) -> None:
    write_lines(root, "annotations.csv", [row.format(name) for name in "abc"])
    found = recognise(root)
    assert found.class_path == "BoxTable"
    if header == list("012345"):
        header = ["set", "image", "class", "xmin", "ymin", "", "", "xmax", "ymax", "", ""]
    assert found.init_args == {"header": header}
    assert not found.notes
    assert BoxTable(str(root), **found.init_args).box_classes == ("cat",)


@pytest.mark.parametrize(("box", "form"), [("[30, 5, 50, 30]", "xyxy"), ("[30, 20, 20, 20]", "xywh")])
def test_the_form_of_one_column_is_the_one_that_fits_the_pictures(root: Path, box: str, form: str) -> None:
    write_lines(root, "annotations.csv", ["image_id,bbox,label", *(f'{name},"{box}",cat' for name in "abc")])
    assert recognise(root).init_args == ({} if form == "xywh" else {"box_form": "xyxy"})


def test_columns_that_are_equal_in_all_rows_of_a_picture_are_labels_of_it(root: Path) -> None:
    write_picture(root / "images/d.jpg")
    rows = [f"{name},{light},cat,{x0},2,30,30" for name, light in zip("abcd", "nndd", strict=True) for x0 in (3, 9)]
    write_lines(root, "annotations.csv", ["file,light,class,xmin,ymin,xmax,ymax", *rows, "a,n,dog,1,1,8,8"])
    found = recognise(root)
    assert found.tasks == {"boxes": "detection", "light": "classification"}
    assert (found.init_args["labels_csv"], found.init_args["labels_key"]) == ("annotations.csv", "file")
    data = BoxTable(str(root), **found.init_args)
    assert data.csv_labels is not None
    data.csv_labels.read(data.names(), data.data_report)
    assert {name: row["light"] for name, row in data.csv_labels.rows.items()} == {
        "a": "n",
        "b": "n",
        "c": "d",
        "d": "d",
    }
    write_lines(root, "annotations.csv", ["file,light,class,xmin,ymin,xmax,ymax", *rows, "a,d,dog,1,1,8,8"])
    assert recognise(root).tasks == {"boxes": "detection"}, "a has two lights"
    with pytest.raises(ValueError, match="two rows for 'a', with 'n' and 'd' in column 'light'"):
        data.csv_labels.read(data.names(), data.data_report)


def test_the_class_may_be_in_a_column_of_any_name_if_it_differs_within_a_picture(root: Path) -> None:
    rows = [f"{name},{kind},1,2,30,30" for name in "abc" for kind in ("Hund", "Katze")]
    write_lines(root, "annotations.csv", ["file,Tier,xmin,ymin,xmax,ymax", *rows])
    assert recognise(root).init_args == {"class_column": "Tier"}


def test_boxes_in_a_second_format_are_said_to_be_there(root: Path) -> None:
    write_lines(root, "annotations.csv", ["file,class,xmin,ymin,xmax,ymax", "a,cat,1,1,9,9", "b,cat,1,1,9,9"])
    shape = '{"label": "cat", "points": [[1, 2], [9, 9]], "shape_type": "rectangle"}'
    (root / "images/a.json").write_text(f'{{"shapes": [{shape}], "imagePath": "a.jpg"}}')
    found = recognise(root)
    assert found.class_path == LabelMeFolder.__name__
    assert any("CSV of boxes (read by BoxTable) are there as well; they are not used" in note for note in found.notes)


def test_sizes_of_pictures_are_no_labels_and_a_table_that_adds_nothing_is_not_read(root: Path) -> None:
    write_picture(root / "images/d.jpg")
    rows = [f"{name},60,{40 + (name > 'b')},cat,{x0},2,30,30,{name > 'b'}" for name in "abcd" for x0 in (3, 9)]
    write_lines(root, "boxes.csv", ["file,width,height,class,xmin,ymin,xmax,ymax,late", *rows])
    write_lines(root, "answer.csv", ["file,text", *(f"{name},some text {name}" for name in "abcd")])
    found = recognise(root)
    assert found.tasks == {"boxes": "detection", "late": "classification"}
    assert not found.open_tasks
    assert found.init_args["labels_csv"] == "boxes.csv"


def test_addresses_name_pictures_and_a_column_names_their_splits(root: Path) -> None:
    for name in "abc":
        (root / f"images/{name}.jpg").rename(root / f"images/{name} 1.jpg")
    rows = [f"https://x.org/{name}%201.jpg,cat,1,1,9,9,{split}" for name, split in zip("abc", SPLITS, strict=True)]
    write_lines(root, "annotations.csv", ["file,class,xmin,ymin,xmax,ymax,split", *rows])
    found = new_config(root)
    assert found.recognised.class_path == "BoxTable"
    assert found.splits == {"train": ["a 1"], "val": ["b 1"], "test": ["c 1"]}
    data = BoxTable(str(root), **found.recognised.init_args)
    assert [len(data.record(name).boxes) for name in data.names()] == [1, 1, 1]
