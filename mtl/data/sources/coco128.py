"""COCO128: the first 128 pictures of each of COCO's train2017 and val2017, with boxes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, write_rows, write_splits

_COMMIT = ("lightly-ai/coco128_yolo", "6d6f7a059ea63efffdbe48aca2d52c04d4c510e9")
_PANOPTIC = "panoptic_segmentation/annotations"
_DIGESTS = {  # of the pictures, the boxes and the panoptic file, which names classes and licences
    "train2017": (
        "0c2139e104e1524d50e92f0248fcf8e4e3ac5ef2caf4105db35b938f056fe097",
        "befd4387e1f4669f6f034b8e12159e9f7c4a68781b5a3567b63d11af1722efb8",
        "c9abb7f94dcbf36e71394879174391105ddbca91b1402dd2279a33abfe8dd9af",
    ),
    "val2017": (
        "43494f14d89f4669b9bb764171afd350ed27f884340727dc96324d653885a3ec",
        "7d4e07dfeeee72561440e12216f4e04a01a1f77aef1580c82305b1b1c3225995",
        "d34299305e29317b0b0617fe56b9c05c2331cc5557e72911ddc0eb05c29611b8",
    ),
}


class COCO128(Source):
    """256 photographs of COCO 2017: boxes of 80 classes, the classes that are present, and the largest box's group.

    Pictures of train2017 are train, and of val2017 val and test in turn. Boxes are YOLO's: a crowd
    looks like an object.
    """

    name = "coco128"
    licence = "CC BY 4.0 (annotations); of each picture its photographer's, see image_labels.csv"
    cite = "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014"
    max_bytes = 200_000_000
    files = tuple(
        part
        for folder, (pictures, boxes, panoptic) in _DIGESTS.items()
        for part in (
            Files(*_COMMIT, f"images/{folder}", f"images/{folder}", pictures, (".jpg",), 128),
            Files(*_COMMIT, f"object_detection/labels/{folder}", f"boxes/{folder}", boxes, (".txt",), 128),
            Files(*_COMMIT, f"{_PANOPTIC}/panoptic_{folder}.json", f"{folder}.json", panoptic),
        )
    )
    counts: ClassVar[dict[str, int]] = {"pictures": 256, "boxes": 1827, "train": 128, "val": 64, "test": 64}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "images").rename(to / "images")
        splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        rows = []
        for folder in _DIGESTS:
            panoptic = json.loads((raw / f"{folder}.json").read_text("utf-8"))
            categories = [
                {key: category[key] for key in ("id", "name", "supercategory")}
                for category in panoptic["categories"]
                if category["isthing"]
            ]
            licences = {each["id"]: each["name"] for each in panoptic["licenses"]}
            licence_of = {each["id"]: licences[each["license"]] for each in panoptic["images"]}
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for index, file in enumerate(sorted((to / "images" / folder).iterdir())):
                with Image.open(file) as picture:
                    width, height = picture.size
                name, number = f"{folder}/{file.stem}", int(file.stem)
                split = "train" if folder == "train2017" else ("val", "test")[index % 2]
                splits[split].append(name)
                images.append({"id": number, "file_name": f"{name}.jpg", "width": width, "height": height})
                boxes = _boxes(raw / f"boxes/{name}.txt", width, height)
                for of, box, area in boxes:
                    known = {"id": len(annotations) + 1, "image_id": number, "category_id": categories[of]["id"]}
                    annotations.append({**known, "bbox": box, "area": area, "iscrowd": 0})
                row: dict[str, object] = {"image": name, "split": split, "width": width, "height": height}
                row |= {"has_boxes": int(bool(boxes)), "has_masks": int(number in licence_of), "n_boxes": len(boxes)}
                rows.append(row | _classes(boxes, categories) | {"image_licence": licence_of.get(number, "unknown")})
            content = {"images": images, "annotations": annotations, "categories": categories}
            (to / f"instances_{folder}.json").write_text(json.dumps(content), "utf-8")
        write_splits(to, splits)
        write_rows(to / "image_labels.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        files = [json.loads((folder / f"instances_{part}.json").read_text("utf-8")) for part in _DIGESTS]
        counts = {name: sum(len(file[of]) for file in files) for name, of in _COUNTED.items()}
        return counts | count_splits(folder)


_COUNTED = {"pictures": "images", "boxes": "annotations"}
_Box = tuple[int, list[float], float]  # class from 0; x, y, width, height in pixels; area


def _boxes(file: Path, width: int, height: int) -> list[_Box]:
    """Boxes of a YOLO file; none if it is not there."""
    found = []
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        of, *values = line.split()
        x, y, w, h = map(float, values)
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        found.append((int(of), [round(value, 2) for value in box], round(box[2] * box[3], 2)))
    return found


def _classes(boxes: list[_Box], categories: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    largest = max(boxes, key=lambda box: box[2], default=None)
    return {
        "largest_box_supercategory": "" if largest is None else categories[largest[0]]["supercategory"],
        "present_classes": "|".join(sorted({categories[of]["name"] for of, *_ in boxes})),
    }
