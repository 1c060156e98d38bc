"""Small picture folders, generated in the layouts that the loaders read."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Boxes = Sequence[tuple[str, int, int, int, int]]  # class, xmin, ymin, xmax, ymax as VOC writes them

XML = "<annotation><size><width>{}</width><height>{}</height><depth>3</depth></size>{}</annotation>"
OBJECT = (
    "<object><name>{}</name><difficult>{}</difficult><bndbox>"
    "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
CATEGORIES = {"dog": 3, "cat": 90}  # COCO's ids have gaps


class Writer:
    """Writes files of a data set; pictures are 40 x 30 unless said otherwise."""

    @staticmethod
    def picture(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(path)

    @staticmethod
    def voc(path: Path, boxes: Boxes, size: tuple[int, int] = (40, 30), difficult: int = 0) -> None:
        """The last `difficult` boxes are marked so."""
        path.parent.mkdir(parents=True, exist_ok=True)
        marks = [int(i >= len(boxes) - difficult) for i in range(len(boxes))]
        objects = [OBJECT.format(name, mark, *box) for (name, *box), mark in zip(boxes, marks, strict=True)]
        path.write_text(XML.format(*size, "".join(objects)))

    @staticmethod
    def coco(path: Path, pictures: Mapping[str, Sequence[tuple[str, float, float, float, float]]]) -> None:
        """Boxes are class, x, y, width, height."""
        images, annotations = [], []
        for key, (file, boxes) in enumerate(pictures.items(), start=100):
            images.append({"id": key, "file_name": file, "width": 40, "height": 30})
            for name, *box in boxes:
                annotations.append({"image_id": key, "category_id": CATEGORIES[name], "bbox": box, "iscrowd": 0})
        categories = [{"id": key, "name": name} for name, key in CATEGORIES.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))

    @staticmethod
    def csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    @staticmethod
    def splits(folder: Path, **splits: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for split, names in splits.items():
            (folder / f"{split}.txt").write_text("\n".join(names) + "\n")


@pytest.fixture
def write() -> Writer:
    return Writer()


@pytest.fixture
def voc_root(tmp_path: Path, write: Writer) -> Path:
    """Six pictures `p0`..`p5` with a cat and a dog each, four for training, one each for the rest."""
    for i in range(6):
        write.picture(tmp_path / f"images/p{i}.png", seed=i)
        write.voc(tmp_path / f"annotations/p{i}.xml", [("cat", 1, 1, 10, 10), ("dog", 11 + i, 6, 40, 30)])
    write.splits(tmp_path / "splits", train=["p0", "p1", "p2", "p3"], val=["p4"], test=["p5"])
    return tmp_path
