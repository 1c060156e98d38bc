"""Columns and cells of boxes: what they mean where a user names them, and what is no box."""

from pathlib import Path

import pytest

from mtl.data.folder.files.box_rows import BoxColumns, boxes_of, find_columns
from mtl.data.formats.recognise import recognise
from tests.contract.kit.folders import picture


@pytest.mark.parametrize(
    ("given", "boxes", "form"),
    [
        (("x", "y", "w", "h"), ("x", "y", "w", "h"), "xywh"),
        (("cx", "cy", "w", "h"), ("cx", "cy", "w", "h"), "cxcywh"),
        (("x1", "x2", "y1", "y2"), ("x1", "y1", "x2", "y2"), "xyxy"),
        (("l", "o", "r", "u"), ("l", "o", "r", "u"), "xyxy"),
        (("kasten",), ("kasten",), "xywh"),
    ],
)
def test_columns_that_a_user_names_mean_what_their_names_say(
    given: tuple[str, ...], boxes: tuple[str, ...], form: str
) -> None:
    header = ["image", "x1", "y1", "x2", "y2", "x", "y", "w", "h", "cx", "cy", "l", "o", "r", "u", "kasten"]
    found = find_columns(header, boxes=given)
    assert found is not None
    assert (found.boxes, found.form) == (boxes, form)
    ordered = find_columns(header, boxes=given, form="xyxy")
    assert ordered is not None
    assert (ordered.boxes, ordered.form) == (given, "xyxy")


@pytest.mark.parametrize("cell", ["1 2 3 4;", "1 2 3 4\n", "0 0 0 0; 1 2 3 4"])
def test_a_separator_at_the_end_and_four_zeros_are_no_box(cell: str) -> None:
    columns = BoxColumns("image", ("boxes",), "xyxy")
    assert list(boxes_of({"image": "a", "boxes": cell}, columns)) == [[1, 2, 3, 4]]


def boxes(root: Path, ends: list[str]) -> None:
    rows = ["image,xmin,ymin,xmax,ymax,sure"]
    for seed, end in enumerate(ends):
        picture(root / f"images/p{seed // 2}.jpg", seed)
        rows.append(f"p{seed // 2}.jpg,1,2,20,30,{end}")
    (root / "boxes.csv").write_text("\n".join(rows))


def test_a_column_of_numbers_with_an_empty_cell_is_no_column_of_classes(tmp_path: Path) -> None:
    boxes(tmp_path, ["0.5", "0.7", "", "0.5", "0.7", "0.5", "0.7", "0.5"])
    assert "class_column" not in recognise(tmp_path).init_args


def test_a_table_with_a_cell_of_a_picture_is_no_table_of_boxes(tmp_path: Path) -> None:
    boxes(tmp_path, ["cat", "dog"] * 4)
    (tmp_path / "pixels.csv").write_text(f"image,pixels\np0.jpg,{'7 ' * 100_000}\n")
    assert recognise(tmp_path).init_args["annotations"] == "boxes.csv"
