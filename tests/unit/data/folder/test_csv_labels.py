"""Matching rows of a CSV to pictures, tested with `VOCFolder`."""

from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder.image_labels import ImageLabels, read_rows
from mtl.data.folder.voc_folder import VOCFolder


def module(root: Path, **options: Any) -> VOCFolder:
    options = {"image_size": (30, 40), "labels_csv": "labels.csv", **options}
    return VOCFolder(str(root), ["cat", "dog"], image_tasks={"n": {"kind": "regression"}}, **options)  # type: ignore[dict-item]


def numbers(root: Path, keys: list[str], write: Any) -> dict[str, float | None]:
    """The label of every training picture, where row i of the CSV has the number i."""
    write.csv(root / "labels.csv", [{"image": key, "n": i} for i, key in enumerate(keys)])
    data = module(root)
    data.setup("fit")
    return {data.train_set.name(i): data.train_set[i].get("n") for i in range(len(data.train_set))}


@pytest.mark.parametrize(
    "form",
    ["{}", "{}.png", "{}.jpg", "images/{}.png", "/x/images/{}", " {} ", "images\\{}.PNG", "./{}", "train/{}.xml"],
)
def test_a_row_is_given_to_its_picture_however_it_is_named(voc_root: Path, write: Any, form: str) -> None:
    assert numbers(voc_root, [form.format(f"p{i}") for i in range(6)], write) == {f"p{i}": i for i in range(4)}
    assert numbers(voc_root, [form.format(f"P{i}") for i in range(6)], write) == {f"p{i}": i for i in range(4)}


def test_a_row_that_may_be_of_two_pictures_is_of_none(voc_root: Path, write: Any) -> None:
    for folder in ("one", "two"):
        write.picture(voc_root / f"images/{folder}/q.png")
    write.splits(voc_root / "splits", train=["one/q", "two/q", "p0"])
    assert numbers(voc_root, ["q.png", "p0.png"], write) == {"one/q": None, "two/q": None, "p0": 1}
    assert numbers(voc_root, ["two/q.png", "one/q.png"], write) == {"one/q": 1, "two/q": 0, "p0": None}


def test_two_rows_of_one_picture_are_an_error(voc_root: Path, write: Any) -> None:
    for second in ("p0.png", "p0.jpg", "./p0", "p0 "):
        with pytest.raises(ValueError, match="labels.csv' has two rows for "):
            numbers(voc_root, ["p0", second], write)


def test_what_is_of_no_picture_or_had_to_be_guessed_is_reported(voc_root: Path, write: Any) -> None:
    write.csv(voc_root / "labels.csv", [{"image": name, "n": 1} for name in ("p0", "x/p1", "gone")])
    data = module(voc_root)
    data.setup("fit")
    assert data.data_report.images("row_without_image") == ["gone"]
    assert [finding.detail for finding in data.data_report if finding.kind == "name_differs"] == [
        "'x/p1' in labels.csv"
    ]


def test_names_that_say_whose_boxes_count_must_name_somebody(voc_root: Path, write: Any) -> None:
    write.csv(voc_root / "labels.csv", [{"image": f"img{i}", "n": 0, "done": 1} for i in range(6)])
    with pytest.raises(ValueError, match="annotated_column 'done' .*none of its 6 rows names a picture.*'img0'.*'p0'"):
        module(voc_root, annotated_column="done").setup("fit")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,a,b\np0,1\n", "line 2: the row has 2 cells, the header 3"),
        ("image,a\np0,1,2\n", "line 2: the row has 3 cells, the header 2"),
        ("image,a,a\np0,1,2\n", "two columns called 'a'"),
        ("image;a,b\np0;1\n", "no column 'image'; it has image;a, b. Its separator is not a comma"),
        ("", "no column 'image'; it is empty"),
        ("image,a\np0,1\np0 ,2\n", "two rows for 'p0'"),
    ],
)
def test_a_table_of_another_form_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=f"a.csv'.*{message}"):
        read_rows(tmp_path / "a.csv", "image")


def test_blanks_empty_lines_and_empty_cells_at_the_end_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("image , a,,\r\np0, 1,,\r\n\r\n,,\r\n".encode("utf-16"))
    assert read_rows(tmp_path / "a.csv", "image") == {"p0": {"image": "p0", "a": "1"}}


def test_a_number_that_is_none_is_no_label() -> None:
    spec = ImageLabels("regression", column="n")
    assert spec.value("count", {"n": "nan"}) is None
    for cell in ("inf", "-Infinity"):
        with pytest.raises(ValueError, match="is not finite"):
            spec.value("count", {"n": cell})
    columns = ImageLabels("multilabel", columns=["a", "b"])
    assert columns.value("present", {"a": "1", "b": "NaN"}) is None


def test_several_tables_hold_other_pictures_or_other_columns(voc_root: Path, write: Any) -> None:
    write.csv(voc_root / "a.csv", [{"image": f"p{i}.png", "n": i} for i in range(2)])
    write.csv(voc_root / "b.csv", [{"image": f"p{i}", "n": i} for i in range(2, 6)])
    write.csv(voc_root / "c.csv", [{"image": f"p{i}", "light": "day" if i % 2 else "night"} for i in (0, 1, 2)])
    tasks: Any = {"n": {"kind": "regression"}, "light": {}}
    data = VOCFolder(str(voc_root), ["cat", "dog"], image_tasks=tasks, labels_csv=["a.csv", "b.csv", "c.csv"])
    assert data.tasks["light"].class_names == ("day", "night")
    data.setup("fit")
    samples = {data.train_set.name(i): data.train_set[i] for i in range(len(data.train_set))}
    assert {name: sample["n"] for name, sample in samples.items()} == {f"p{i}": i for i in range(4)}
    assert {name: int(sample.get("light", -1)) for name, sample in samples.items()} == {
        "p0": 1,
        "p1": 0,
        "p2": 1,
        "p3": -1,
    }
    write.csv(voc_root / "b.csv", [{"image": "p1", "n": 7}])
    with pytest.raises(ValueError, match="b.csv' has '7' in column 'n' for picture 'p1', another file .* has '1'"):
        VOCFolder(str(voc_root), ["cat", "dog"], image_tasks=tasks, labels_csv=["a.csv", "b.csv", "c.csv"]).setup("fit")


def test_a_column_of_no_table_is_an_error(voc_root: Path, write: Any) -> None:
    for name in "ab":
        write.csv(voc_root / f"{name}.csv", [{"image": "p0", name: 1}])
    with pytest.raises(ValueError, match="reads column 'n', but the CSV has image, a, b"):
        module(voc_root, labels_csv=["a.csv", "b.csv"]).setup("fit")
    tasks: Any = {"light": {}}
    with pytest.raises(ValueError, match="no file of labels_csv has a column 'light'; they have image, a, image, b"):
        VOCFolder(str(voc_root), ["cat"], image_tasks=tasks, labels_csv=["a.csv", "b.csv"])


def test_tables_beside_their_pictures_name_them_without_folders(voc_root: Path, write: Any) -> None:
    for split, number in (("train", 1), ("test", 2)):
        write.picture(voc_root / "images" / split / "1.png")
        write.csv(voc_root / "images" / split / "labels.csv", [{"image": "1.png", "n": number}])
    write.splits(voc_root / "splits", train=["train/1", "test/1"])
    data = module(voc_root, labels_csv=["images/train/labels.csv", "images/test/labels.csv"])
    data.setup("fit")
    assert {data.train_set.name(i): data.train_set[i]["n"] for i in range(2)} == {"train/1": 1, "test/1": 2}
