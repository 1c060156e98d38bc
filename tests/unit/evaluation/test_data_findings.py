"""Findings of a check: copies, odd sizes, a loader's report, labels that disagree; and the page that draws them."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.voc_folder import VOCFolder
from mtl.evaluation.data.data_check import check_data
from mtl.evaluation.data.data_findings import Finding
from mtl.evaluation.data.data_page import data_page
from mtl.evaluation.data.label_agreement import disagreements
from mtl.task import Task
from tests.contract.kit import folders

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared/data"
TASKS = {
    "boxes": Task("boxes", "detection", class_names=("white", "red")),
    "cell": Task("cell", "classification", class_names=("a", "b")),
}
Samples = dict[tuple[str, int], dict[str, frozenset[str] | None]]


def samples(*rows: tuple[str, str]) -> Samples:
    """Objects and the label of each sample, `-` where it has none."""
    return {
        ("train", i): {"boxes": frozenset(boxes.split()), "cell": None if label == "-" else frozenset([label])}
        for i, (boxes, label) in enumerate(rows)
    }


def told(found: Samples) -> list[tuple[int, str]]:
    names = {place: f"p{place[1]}" for place in found}
    return [(one.places[0][1], one.text) for one in disagreements(found, TASKS, names)]


def test_a_class_without_its_object_and_an_object_without_its_class_are_told() -> None:
    found = told(samples(*[("white red", "a")] * 40, ("red", "a"), ("white red", "-")))
    assert found[0] == (40, "p40: no white, which pictures of cell a nearly always have")
    assert (41, "p41: has white, and no label of 'cell', unlike nearly all others") in found
    assert {index for index, _ in found} == {40, 41}


def test_few_pictures_and_weak_rules_say_nothing() -> None:
    assert told(samples(*[("white", "a")] * 18, ("red", "a"))) == []  # fewer than 20
    assert told(samples(*[("white", "a")] * 30, *[("red", "b")] * 30)) == []  # no exception
    assert told(samples(*[("white", "a")] * 30, *[("red", "a")] * 10)) == []  # 25 % exceptions


@pytest.fixture
def faulty(tmp_path: Path) -> VOCFolder:
    """Twelve pictures, of which the fourth is a copy of the first, one is long, one has a box over everything."""
    folders.voc_in_one_folder(tmp_path)
    (tmp_path / "IMG_3.jpg").write_bytes((tmp_path / "IMG_0.jpg").read_bytes())
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (20, 200, 3), np.uint8)).save(tmp_path / "IMG_5.jpg")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>48</ymax></bndbox>"
    (tmp_path / "IMG_4.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
    options = {"fractions": [0.5, 0.25, 0.25], "image_size": (48, 64), "on_bad_box": "clip"}
    return VOCFolder(str(tmp_path), images=".", annotations=".", **options)


def test_planted_faults_of_files_are_found_and_drawn(faulty: VOCFolder) -> None:
    found = check_data(faulty)
    texts = {one.kind: one.text for one in found.findings}
    assert "IMG_0" in (texts.get("near_duplicate") or texts["copy_in_split"])
    assert "IMG_5: 200x20, usual 64x48" in texts["odd_size"]
    assert "IMG_4: a box covers 100% of the picture" in texts["covers_all"]
    assert "IMG_5" in texts["box_outside"]  # from the loader's report: the box is made for a higher picture
    page = data_page(faulty, found, "my <data>")
    assert "<h1>my &lt;data&gt;</h1>" in page
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall(r"base64,([^']+)'", page)]
    assert len(pictures) >= 4
    assert all(max(picture.size) <= 480 for picture in pictures)


def test_a_name_cannot_put_code_into_the_page(faulty: VOCFolder) -> None:
    found = check_data(faulty)
    found.findings.append(Finding("warning", "rare_class", "<script>alert(1)</script>"))
    assert "<script>" not in data_page(faulty, found, "x")


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="needs ../shared/data")
def test_known_faults_of_bccd_are_found() -> None:
    tasks = {"wbc_class": {"kind": "classification", "missing": ["NONE", "MIXED", ""]}}
    size = {"image_size": (60, 80), "labels_csv": "image_labels.csv", "image_tasks": tasks}
    found = check_data(VOCFolder(str(SHARED / "bccd"), **size))
    of = {kind: " ".join(one.text for one in found.findings if one.kind == kind) for kind in ("disagrees", "similar")}
    # a white cell that is boxed as a platelet, or not at all; and no subtype
    for number in (133, 135, 171, 178, 228, 327, 117):
        assert f"BloodImage_00{number}" in of["disagrees"]
    assert "BloodImage_00038" in of["similar"]
    kinds = [one.kind for one in found.findings]
    assert (kinds.count("doubled_box"), kinds.count("empty_box")) == (7, 2)


@pytest.mark.nightly
@pytest.mark.skipif(not (SHARED / "coco128").is_dir(), reason="needs ../shared/data")
def test_pictures_of_coco_with_a_crowd_are_where_its_labels_stop() -> None:
    files = {"train": "instances_train2017.json", "val": "instances_val2017.json"}
    names = [c["name"] for c in json.loads((SHARED / "coco128" / files["train"]).read_text())["categories"]]
    data = COCOFolder(str(SHARED / "coco128"), names, annotations=files, image_size=(64, 64))
    (capped,) = [one for one in check_data(data).findings if one.kind == "capped"]
    with (SHARED / "coco128/known_issues.csv").open() as file:
        crowds = {row["item"] for row in csv.DictReader(file) if row["kind"] == "crowd_segment_in_panoptic"}
    found = {getattr(data, f"{split}_set").name(index) for split, index in capped.places}
    assert crowds - found == {"train2017/000000000149"}  # which has 12 objects of a class
