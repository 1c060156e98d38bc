"""`VOCFolder`: boxes from VOC XML, and errors."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.folder.voc_folder import VOCFolder

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"
CLASSES = ["cat", "dog"]


def module(root: Path, **options: Any) -> VOCFolder:
    return VOCFolder(str(root), CLASSES, **{"image_size": (30, 40), **options})


def kinds(data: VOCFolder) -> list[str]:
    return [finding.kind for finding in data.data_report]


def test_corners_count_from_one_and_include_the_last_pixel(voc_root: Path) -> None:
    data = module(voc_root)
    data.setup("fit")
    sample = data.train_set[1]
    assert sample["boxes"].tolist() == [[0, 0, 10, 10], [11, 5, 40, 30]]
    assert sample["box_labels"].tolist() == [0, 1]
    assert not len(data.data_report)


def test_corners_that_count_from_zero_are_taken_as_they_are(voc_root: Path) -> None:
    data = module(voc_root, one_based=False)
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[1, 1, 10, 10], [11, 6, 40, 30]]


def test_zero_based_corners_read_as_one_based_are_clipped_and_reported(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 0, 0, 10, 10)])
    data = module(voc_root)
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[0, 0, 10, 10]]
    assert [(finding.kind, finding.action) for finding in data.data_report] == [("box_outside", "clipped")]


def test_a_box_without_area_is_skipped_and_reported(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 7, 7, 7, 7), ("dog", 9, 9, 5, 20), ("dog", 1, 1, 9, 9)])
    data = module(voc_root)
    data.setup("fit")
    assert data.train_set[0]["box_labels"].tolist() == [1]
    assert data.data_report.images("empty_box") == ["p0"]
    assert kinds(data) == ["empty_box", "empty_box"]


def test_doubled_boxes_of_one_class_are_reported_and_kept(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 1, 1, 30, 30), ("cat", 1, 1, 31, 30), ("dog", 1, 1, 30, 30)])
    data = module(voc_root)
    data.setup("fit")
    assert len(data.train_set[0]["boxes"]) == 3
    assert kinds(data) == ["doubled_box"]


def test_a_picture_without_annotation_is_not_annotated_and_one_without_objects_is(voc_root: Path, write: Any) -> None:
    (voc_root / "annotations/p0.xml").unlink()
    write.voc(voc_root / "annotations/p1.xml", [])
    data = module(voc_root)
    data.setup("fit")
    assert "boxes" not in data.train_set[0]
    assert data.train_set[1]["boxes"].shape == (0, 4)
    assert data.data_report.images("no_annotation") == ["p0"]
    assert data.data_report.images("no_objects") == ["p1"]
    batch = next(iter(data.val_dataloader()))
    assert batch["labelled/boxes"].tolist() == [True]


def test_difficult_boxes_are_objects_unless_told_to_be_ignored(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 1, 1, 9, 9), ("dog", 1, 1, 20, 20)], difficult=1)
    for choice, expected in (("keep", [0, 1]), ("skip", [0, -3])):
        data = module(voc_root, difficult=choice)
        data.setup("fit")
        assert data.train_set[0]["box_labels"].tolist() == expected


def test_an_annotation_without_a_picture_is_reported(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p9.xml", [("cat", 1, 1, 9, 9)])
    data = module(voc_root)
    data.setup("fit")
    assert data.data_report.images("annotation_without_image") == ["p9"]


def test_broken_xml_is_an_error(voc_root: Path) -> None:
    (voc_root / "annotations/p0.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match="p0.xml' is not valid XML"):
        module(voc_root).setup("fit")
    (voc_root / "annotations/p0.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    with pytest.raises(ValueError, match="needs numbers for"):
        module(voc_root).setup("fit")


def known(name: str, kind: str) -> list[str]:
    import csv

    with (DATA / name / "known_issues.csv").open() as file:
        return sorted({row["item"] for row in csv.DictReader(file) if row["kind"] == kind})


@pytest.mark.skipif(not (DATA / "bccd").is_dir(), reason="no bccd beside the checkout")
def test_bccd_is_read_and_its_known_faults_are_found() -> None:
    subtypes = ["NEUTROPHIL", "EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "BASOPHIL"]
    data = VOCFolder(
        str(DATA / "bccd"),
        ["RBC", "WBC", "Platelets"],
        labels_csv="image_labels.csv",
        image_tasks={"wbc_class": {"classes": subtypes, "missing": ["NONE", "MIXED"]}},  # type: ignore[dict-item]
        image_size=(24, 32),
    )
    data.setup("fit")
    data.setup("test")
    assert [len(split) for split in (data.train_set, data.val_set, data.test_set)] == [205, 87, 72]
    assert data.data_report.images("empty_box") == known("bccd", "non_positive_area")
    assert data.data_report.images("doubled_box") == known("bccd", "near_identical_boxes")
    # README: 7 + 1 pictures MIXED, 1 NONE; 4888 boxes, two of them without area
    assert len(data.data_report.images("no_wbc_class")) == 9
    sets = [data.train_set, data.val_set, data.test_set]
    assert sum(len(split.annotations.boxes) for split in sets) == 4888 - 2
    assert torch.bincount(torch.from_numpy(data.train_set.targets["wbc_class"]).clamp(min=-1) + 1).tolist() == [
        8,
        115,
        48,
        21,
        12,
        1,
    ]
    assert {finding.kind for finding in data.data_report} == {"empty_box", "doubled_box", "no_wbc_class"}


@pytest.mark.skipif(not (DATA / "playing_cards").is_dir(), reason="no playing_cards beside the checkout")
def test_playing_cards_are_read_without_a_finding() -> None:
    ranks = ["nine", "ten", "jack", "queen", "king", "ace"]
    data = VOCFolder(
        str(DATA / "playing_cards"),
        ranks,
        labels_csv="image_labels.csv",
        image_tasks={"card_class": {"classes": [*ranks, "mixed"]}, "n_cards": {"kind": "regression"}},  # type: ignore[dict-item]
        image_size=(32, 32),
    )
    data.setup("fit")
    data.setup("test")
    # its two known issues are pictures that look alike, in files of different bytes
    assert not len(data.data_report)
    sets = [data.train_set, data.val_set, data.test_set]
    assert [len(split) for split in sets] == [241, 55, 67]
    for split in sets:
        counts = torch.from_numpy(split.annotations.offsets).diff()
        assert torch.equal(counts.float(), torch.from_numpy(split.targets["n_cards"]))


@pytest.mark.parametrize("name", ["p0.XML", "P0.xml", "p0.png.xml", "deep/p0.Xml"])
def test_an_annotation_is_found_whatever_its_case(voc_root: Path, name: str) -> None:
    path = voc_root / "annotations" / name
    path.parent.mkdir(exist_ok=True)
    (voc_root / "annotations/p0.xml").rename(path)
    data = module(voc_root)
    data.setup("fit")
    assert len(data.train_set[0]["boxes"]) == 2
    assert not data.data_report.images("annotation_without_image")


@pytest.mark.parametrize("name", ["p0.XML", "p0.jpg.xml"])
def test_two_annotations_of_one_picture_are_an_error(voc_root: Path, write: Any, name: str) -> None:
    write.voc(voc_root / "annotations" / name, [("dog", 1, 1, 9, 9)])
    with pytest.raises(ValueError, match="picture 'p0' has two annotation files, .*keep one"):
        module(voc_root).setup("fit")


@pytest.mark.parametrize(
    "box",
    [
        "",
        "<bndbox/>",
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax></bndbox>",
        "<bndbox><xmin>1,5</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>",
        "<polygon><x1>1</x1></polygon>",
    ],
)
def test_an_object_without_a_usable_box_is_an_error_or_skipped(voc_root: Path, box: str) -> None:
    path = voc_root / "annotations/p0.xml"
    path.write_text(path.read_text().replace("</annotation>", f"<object><name>cat</name>{box}</object></annotation>"))
    with pytest.raises(ValueError, match="p0.xml': an object 'cat' needs numbers for xmin.*on_bad_box: skip"):
        module(voc_root).setup("fit")
    for choice in ("skip", "clip"):
        data = module(voc_root, on_bad_box=choice)
        data.setup("fit")
        assert len(data.train_set[0]["boxes"]) == 2
        assert data.data_report.images("bad_box") == ["p0"]


@pytest.mark.parametrize("width", ["None", "", "4O", "1,5", "nan", "inf", "0", "-3"])
def test_a_size_that_is_no_number_is_no_size(voc_root: Path, width: str) -> None:
    path = voc_root / "annotations/p0.xml"
    path.write_text(path.read_text().replace("<width>40</width>", f"<width>{width}</width>"))
    data = module(voc_root)
    data.setup("fit")
    assert not len(data.data_report)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb2312", "cp1252", "shift_jis"])
def test_xml_is_read_in_the_encoding_that_it_declares(voc_root: Path, encoding: str) -> None:
    path, letter = voc_root / "annotations/p0.xml", "é" if encoding == "cp1252" else "犬"
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>' + path.read_text().replace("cat", letter)
    path.write_bytes(text.encode(encoding))
    data = VOCFolder(str(voc_root), ["cat", "dog", letter], image_size=(30, 40))
    data.setup("fit")
    assert data.train_set[0]["box_labels"].tolist() == [2, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "nonsense"])
def test_xml_in_another_encoding_is_an_error_that_names_the_file(voc_root: Path, encoding: str) -> None:
    path = voc_root / "annotations/p0.xml"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + path.read_text().replace("cat", "é")
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(ValueError, match="p0.xml' is not valid XML .*save it as UTF-8"):
        module(voc_root).setup("fit")


def test_boxes_that_are_shares_of_the_picture_are_an_error(voc_root: Path, write: Any) -> None:
    for i in range(6):
        write.voc(voc_root / f"annotations/p{i}.xml", [("cat", 0.1, 0.2, 0.9, 0.75), ("dog", 0, 0, 1, 1)])
    for one_based in (True, False):
        with pytest.raises(
            ValueError, match="split 'train' are smaller than one pixel, .*'p0'.*convert boxes to pixels"
        ):
            module(voc_root, one_based=one_based).setup("fit")


def test_a_box_that_is_outside_by_its_last_decimals_is_clipped_without_a_word(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 0.98, 1, 10, 10)])
    data = module(voc_root)
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[0, 0, 10, 10]]
    assert not len(data.data_report)
