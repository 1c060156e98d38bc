"""What `predict` writes: a COCO document, a table, annotated copies and masks."""

import contextlib
import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mtl.data.images import read_image
from mtl.drawing.annotated_image import annotate
from mtl.drawing.sample import Picture
from mtl.targets.overlay import Boxes, ClassMap, Directions, Overlay, ValueMap
from mtl.targets.target import target_of
from mtl.task import Task

PARTIAL = "predictions.partial.jsonl"  # one line for each file, until the JSON has all of them


@dataclass(frozen=True)
class Found:
    """What was predicted for one file, in its own pixels.

    Args:
        path: the file.
        name: its path below the folder of pictures.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        overlays: what each task has to show.
    """

    path: Path
    name: str
    height: int
    width: int
    overlays: dict[str, Overlay]


class PredictionFiles:
    """`predictions.json` and `predictions.csv`, written as results come, so that a run that is killed keeps them.

    Rows of the CSV are appended. Every result is also a line of `predictions.partial.jsonl`, until `close` writes the
    last JSON; before that the JSON is replaced as a whole whenever the number of pictures has doubled. Files of an
    earlier call for the same folder are removed first; files that no such call wrote are left alone.

    Args:
        output: the folder of all results.
        tasks: the tasks, by name.
    """

    def __init__(self, output: Path, tasks: Mapping[str, Task]) -> None:
        remove_earlier(output)
        output.mkdir(parents=True, exist_ok=True)
        self.output, self.tasks = output, tasks
        self.document: dict[str, Any] = {"images": [], "annotations": [], "categories": [], "skipped": []}
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._ids: dict[tuple[str, int], int] = {}
        self._next_json = 1
        self._partial = (output / PARTIAL).open("w", encoding="utf-8")
        self._csv = (output / "predictions.csv").open("w", newline="", encoding="utf-8")

    def add(self, one: Found) -> None:
        """Append the results of one picture.

        Args:
            one: the picture.
        """
        if not self.document["images"]:
            self._name_categories(one)
        number = len(self.document["images"]) + 1
        image = {"id": number, "file_name": one.name, "width": one.width, "height": one.height}
        boxes = self._boxes(one, number)
        row: dict[str, Any] = {"file_name": one.name}
        for name, shown in one.overlays.items():
            row |= target_of(self.tasks[name]).row(shown)
        self.document["images"].append(image)
        self.document["annotations"] += boxes
        self._rows.append(row)
        self._line({"image": image, "annotations": boxes})
        if row.keys() <= set(self._columns):
            csv.DictWriter(self._csv, self._columns).writerow(row)
        else:  # the first row, or an answer that no earlier picture had
            self._columns = list(dict.fromkeys([*self._columns, *row]))
            self._csv.seek(0)
            self._csv.truncate()
            writer = csv.DictWriter(self._csv, self._columns)
            writer.writeheader()
            writer.writerows(self._rows)

    def skip(self, name: str, reason: str, where: str = "skipped") -> None:
        """Record why a file has no result.

        Args:
            name: of the file.
            reason: why.
            where: `skipped`, or `not_drawn` for a picture with results whose copy cannot be written.
        """
        entry = {"file_name": name, "reason": reason}
        self.document.setdefault(where, []).append(entry)
        self._line({where: entry})

    def flush(self) -> None:
        """Bring what was added to the disk."""
        self._partial.flush()
        self._csv.flush()
        if len(self.document["images"]) >= self._next_json:
            self._next_json = 2 * len(self.document["images"])
            self._write_json()

    def close(self) -> None:
        """Write the JSON of all results and close the files."""
        self._partial.close()
        self._csv.close()
        self._write_json()
        (self.output / PARTIAL).unlink()

    def _name_categories(self, one: Found) -> None:
        detection = [self.tasks[name] for name, shown in one.overlays.items() if isinstance(shown.predicted, Boxes)]
        for task in detection:
            for label in range(task.num_classes):
                self._ids[task.name, label] = len(self._ids) + 1
        self.document["categories"] = [
            {"id": number, "name": self.tasks[name].class_name(label), "supercategory": name}
            for (name, label), number in self._ids.items()
        ]

    def _boxes(self, one: Found, image_id: int) -> list[dict[str, Any]]:
        """The boxes of all detection tasks as COCO entries; ids count from 1 through all pictures."""
        entries: list[dict[str, Any]] = []
        first = len(self.document["annotations"]) + 1
        for name, shown in one.overlays.items():
            boxes = shown.predicted
            if not isinstance(boxes, Boxes):
                continue
            assert boxes.scores is not None
            rows = zip(boxes.boxes.tolist(), boxes.labels.tolist(), boxes.scores.tolist(), strict=True)
            for (x0, y0, x1, y1), label, score in rows:
                box = [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
                category = self._ids[name, label]
                entry = {"id": first + len(entries), "image_id": image_id, "category_id": category, "bbox": box}
                entries.append({**entry, "area": round(box[2] * box[3], 2), "iscrowd": 0, "score": round(score, 5)})
        return entries

    def _line(self, entry: dict[str, Any]) -> None:
        self._partial.write(json.dumps(entry) + "\n")

    def _write_json(self) -> None:
        # replaced as a whole: a reader never meets half a document
        part = self.output / "predictions.json.part"
        part.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.output / "predictions.json")


def remove_earlier(output: Path) -> None:
    """Remove what an earlier call wrote to a folder: the tables, and the copies of the pictures that they name.

    Args:
        output: the folder of all results; it may be missing.
    """
    names = set()
    try:
        document = json.loads((output / "predictions.json").read_bytes())
        names |= {str(entry["file_name"]) for entry in document["images"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass  # there was none, or it is not ours
    try:
        for line in (output / PARTIAL).read_bytes().splitlines():
            names.add(str(json.loads(line)["image"]["file_name"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    folders = [output / "pictures", *(output / "masks").glob("*"), *(output / "maps").glob("*")]
    for folder in folders:
        for name in names:
            for suffix in (".jpg", ".png", ".npy"):
                path = folder / f"{name}{suffix}"
                # a name with `..` must not lead out of the folder
                with contextlib.suppress(OSError, ValueError):
                    if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
                        path.unlink()
    for name in ("predictions.json", "predictions.csv", "predictions.json.part", PARTIAL):
        with contextlib.suppress(FileNotFoundError):
            (output / name).unlink()


def write_copy(one: Found, tasks: Mapping[str, Task], output: Path) -> None:
    """The annotated copy of one picture, a JPEG.

    Args:
        one: the picture.
        tasks: the tasks, by name.
        output: the folder of all results.
    """
    # the whole name, so that a.jpg and a.png do not meet
    path = output / "pictures" / f"{one.name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = annotate(Picture(read_image(one.path), one.overlays), tasks)
    try:
        copy.save(path, quality=90)
    except Exception:
        path.unlink(missing_ok=True)  # half a picture
        raise


def write_maps(one: Found, output: Path) -> None:
    """The masks of one picture (a class index in every pixel) and its maps of numbers (`.npy`).

    Args:
        one: the picture.
        output: the folder of all results.
    """
    for name, shown in one.overlays.items():
        if isinstance(shown.predicted, ClassMap):
            mask = output / "masks" / name / f"{one.name}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown.predicted.labels.to(torch.int32).numpy().astype("uint16")).save(mask)
        elif isinstance(shown.predicted, ValueMap | Directions):
            values = output / "maps" / name / f"{one.name}.npy"
            values.parent.mkdir(parents=True, exist_ok=True)
            shape = shown.predicted
            np.save(values, (shape.values if isinstance(shape, ValueMap) else shape.vectors).numpy())
