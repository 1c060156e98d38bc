"""`new` on folders that are nearly right: nothing is left out without a word, and a refusal says what to do."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mtl.data.folder.picture_folder import PictureFolder
from mtl.evaluation.data.new_config import new_config
from tests.contract.kit import folders
from tests.contract.kit.folders import CLASSES, picture, voc_in_one_folder

NUMBER = 12


def table(root: Path, rows: Sequence[str], name: str = "labels.csv", encoding: str = "utf-8") -> None:
    root.mkdir(exist_ok=True)
    (root / name).write_bytes("\r\n".join(rows).encode(encoding))


def pictures(root: Path, form: str = "{}.jpg") -> None:
    for seed in range(NUMBER):
        picture(root / form.format(seed), seed)


def test_pictures_in_no_split_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folders.yolo_as_roboflow(tmp_path / name)
    (note,) = (note for note in new_config(tmp_path).notes if "in no split" in note)
    assert note.startswith("12 of 24 pictures are in no split, and are left out: b/test/images/p10, ")
    folders.yolo_as_roboflow(tmp_path / "one")
    assert not [note for note in new_config(tmp_path / "one").notes if "in no split" in note]


def test_whole_numbers_in_a_column_of_classes_are_classes(tmp_path: Path) -> None:
    pictures(tmp_path)
    rows = ["file,Class Id,age", *(f"{seed}.jpg,{seed % 3},{seed % 4}" for seed in range(NUMBER))]
    table(tmp_path, rows)
    found = new_config(tmp_path).recognised
    assert found.tasks == {"Class_Id": "classification"}
    assert found.open_tasks["age"]["kind"] == "regression"
    assert PictureFolder(str(tmp_path), **found.init_args).tasks["Class_Id"].class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("cells", "kind", "names"),
    [
        (["red", "red, round", "round, old", "old"], "multilabel", ("old", "red", "round")),
        ([f"{'wet ' * (k % 2)}{'red ' * (k % 3 > 0)}{'big ' * (k > 5)}old" for k in range(NUMBER)], "multilabel", None),
        (
            ["black rot", "leaf blight", "black rot", "healthy"],
            "classification",
            ("black rot", "healthy", "leaf blight"),
        ),
        (['{"x": 1}', '{"x": 2}', '{"x": 1}', '{"x": 1}'], "", None),
    ],
)
def test_commas_and_blanks_separate_labels_that_are_combined(
    tmp_path: Path, cells: list[str], kind: str, names: tuple[str, ...] | None
) -> None:
    pictures(tmp_path)
    table(tmp_path, ["file;tags", *(f"{seed}.jpg;{cells[seed % len(cells)]}" for seed in range(NUMBER))])
    if not kind:
        with pytest.raises(ValueError, match="no annotation that is known here"):
            new_config(tmp_path)
        return
    found = new_config(tmp_path).recognised
    assert found.tasks == {"tags": kind}
    data = PictureFolder(str(tmp_path), **found.init_args)
    assert names in (None, data.tasks["tags"].class_names)
    assert data.csv_labels is not None
    data.csv_labels.read(data.names(), data.data_report)
    records = [data.record(name) for name in data.names()]
    data.csv_labels.add_to(records, "train", data.data_report)
    assert all("tags" in record.labels for record in records)


def test_rows_of_one_picture_that_agree_are_one_label(tmp_path: Path) -> None:
    pictures(tmp_path)
    rows = [f"{seed}.jpg,{CLASSES[seed % 2]},{score}" for seed in range(NUMBER) for score in (1, 2)]
    table(tmp_path, ["file,label,score", *rows])
    found = new_config(tmp_path).recognised
    assert (found.tasks, found.open_tasks) == ({"label": "classification"}, {})


def test_a_table_of_another_encoding_is_left_out_with_a_word(tmp_path: Path) -> None:
    pictures(tmp_path)
    rows = ["Datei;Farbe", *(f"{seed}.jpg;{('grün', 'rot')[seed % 2]}" for seed in range(NUMBER))]
    table(tmp_path, rows, encoding="cp1252")
    with pytest.raises(ValueError, match="labels.csv' is not valid UTF-8 .*Save it again as UTF-8"):
        new_config(tmp_path)
    voc_in_one_folder(tmp_path / "boxes")
    table(tmp_path / "boxes", rows, encoding="cp1252")
    assert any("labels.csv is left out: " in note for note in new_config(tmp_path / "boxes").notes)


def test_pictures_of_phones_are_counted(tmp_path: Path) -> None:
    voc_in_one_folder(tmp_path)
    for seed in range(3):
        (tmp_path / f"IMG_{seed}.jpg").rename(tmp_path / f"IMG_{seed}.HEIC")
    assert any("3 pictures such as IMG_0.HEIC cannot be read here" in note for note in new_config(tmp_path).notes)


def test_folders_of_yolo_may_be_written_in_capitals(tmp_path: Path) -> None:
    for seed in range(NUMBER):
        picture(tmp_path / f"Images/p{seed}.JPG", seed)
        folders.text(tmp_path / f"Labels/p{seed}.txt", seed)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    found = new_config(tmp_path)
    assert found.recognised.class_path == "YOLOFolder"
    assert found.proposal.image_classes["boxes"] == CLASSES


def other_names(root: Path) -> None:
    pictures(root, "{:05}.jpg")
    table(root, ["id,label", *(f"{seed},{CLASSES[seed % 2]}" for seed in range(NUMBER))])


def via(root: Path) -> None:
    pictures(root)
    table(root, ["filename,region_shape_attributes", *(f'{seed}.jpg,"{{}}"' for seed in range(NUMBER))], "via.csv")


def broken_row(root: Path) -> None:
    pictures(root / "set")
    table(root, ["file,label", *(f"{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(NUMBER)), "sum"])


def spreadsheet(root: Path) -> None:
    pictures(root)
    (root / "labels.xlsx").write_bytes(b"PK")


def half_a_json(root: Path) -> None:
    pictures(root)
    (root / "all.json").write_text('{"images": [')


def json_of_another_encoding(root: Path) -> None:
    pictures(root)
    (root / "all.json").write_text('["caf\xe9"]', encoding="latin-1")


def half_an_xml(root: Path) -> None:
    pictures(root)
    (root / "all.xml").write_text("<annotations><image")


def one_beside_classes(root: Path) -> None:
    folders.folders_of_classes(root)
    picture(root / "example.png", 3)


def folders_of_classes_in_two_folders(root: Path) -> None:
    for part in ("seg_one", "seg_two"):
        for name in CLASSES:
            picture(root / part / part / name / "a.jpg", 0)


@pytest.mark.parametrize(
    ("layout", "hint"),
    [
        (
            other_names,
            "No column of labels.csv names the pictures: its first row is '0, cat', a picture is called '00000'",
        ),
        (via, "via.csv is a file of VIA: export the annotations as COCO JSON"),
        (broken_row, r"\.\.\. '.*labels.csv', line 14: the row has 1 cells, the header 2"),
        (half_a_json, r"all.json is damaged, or no JSON \(Expecting value.*\): export it again"),
        (json_of_another_encoding, "all.json' is not valid UTF-8"),
        (half_an_xml, "all.xml' is not valid XML"),
        (spreadsheet, "labels.xlsx cannot be read here: save it as CSV"),
        (one_beside_classes, "If 'cat' and 'dog' are classes, example.png must not lie beside them: move it away"),
        (folders_of_classes_in_two_folders, "If they hold the classes, give one of them"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, layout: folders.Layout, hint: str) -> None:
    layout(tmp_path)
    with pytest.raises(ValueError, match=f"no annotation that is known here.*{hint}"):
        new_config(tmp_path)
