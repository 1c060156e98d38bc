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

from mtl.data.deep_pixels import PixelRange
from mtl.data.files_below import files_below
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
        self.skipped: dict[str, str] = {}
        self.not_drawn: dict[str, str] = {}
        self.num_pictures = self.num_boxes = 0
        # one line of the JSON for each picture, because its entries are written again whenever the document is
        self._lines: dict[str, list[str]] = {"images": [], "annotations": [], "categories": []}
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._ids: dict[tuple[str, int], int] = {}
        self._next_json = 1
        self._partial = (output / PARTIAL).open("w", encoding="utf-8")
        self._csv = (output / "predictions.csv").open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._csv)

    def add(self, one: Found) -> None:
        """Append the results of one picture.

        Args:
            one: the picture.
        """
        if not self.num_pictures:
            self._name_categories(one)
        self.num_pictures += 1
        number = self.num_pictures
        image = json.dumps({"id": number, "file_name": one.name, "width": one.width, "height": one.height})
        found = self._boxes(one, number)
        boxes = json.dumps(found)[1:-1]
        row: dict[str, Any] = {"file_name": one.name}
        for name, shown in one.overlays.items():
            row |= target_of(self.tasks[name]).row(shown)
        self.num_boxes += len(found)
        self._lines["images"].append(image)
        if found:
            self._lines["annotations"].append(boxes)
        self._rows.append(row)
        self._partial.write(f'{{"image": {image}, "annotations": [{boxes}]}}\n')
        if row.keys() <= set(self._columns):
            self._writer.writerow([row.get(column, "") for column in self._columns])
        else:  # the first row, or an answer that no earlier picture had
            self._columns = list(dict.fromkeys([*self._columns, *row]))
            self._csv.seek(0)
            self._csv.truncate()
            self._writer.writerow(self._columns)
            self._writer.writerows([row.get(column, "") for column in self._columns] for row in self._rows)

    def skip(self, name: str, reason: str, where: str = "skipped") -> None:
        """Record why a file has no result.

        Args:
            name: of the file.
            reason: why.
            where: `skipped`, or `not_drawn` for a picture with results whose copy cannot be written.
        """
        (self.skipped if where == "skipped" else self.not_drawn)[name] = reason
        self._partial.write(json.dumps({where: {"file_name": name, "reason": reason}}) + "\n")

    def flush(self) -> None:
        """Bring what was added to the disk."""
        self._partial.flush()
        self._csv.flush()
        if self.num_pictures >= self._next_json:
            self._next_json = 2 * self.num_pictures
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
        self._lines["categories"] = [
            json.dumps({"id": number, "name": self.tasks[name].class_name(label), "supercategory": name})
            for (name, label), number in self._ids.items()
        ]

    def _boxes(self, one: Found, image_id: int) -> list[dict[str, Any]]:
        """The boxes of all detection tasks as COCO entries; ids count from 1 through all pictures."""
        entries: list[dict[str, Any]] = []
        first = self.num_boxes + 1
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

    def _write_json(self) -> None:
        lists = dict(self._lines)
        for where, reasons in (("skipped", self.skipped), ("not_drawn", self.not_drawn)):
            if reasons or where == "skipped":
                lists[where] = [json.dumps({"file_name": name, "reason": why}) for name, why in reasons.items()]
        # replaced as a whole: a reader never meets half a document
        part = self.output / "predictions.json.part"
        with part.open("w", encoding="utf-8") as file:
            for index, (name, lines) in enumerate(lists.items()):
                file.write(f'{"," if index else "{"}\n"{name}": [')
                file.writelines(f"{',' if i else ''}\n{line}" for i, line in enumerate(lines))
                file.write("\n]")
            file.write("\n}\n")
        os.replace(part, self.output / "predictions.json")


def remove_earlier(output: Path) -> None:
    """Remove what an earlier call wrote to a folder: the tables, and the copies of the pictures that they name.

    Args:
        output: the folder of all results; it may be missing.
    """
    folders = [output / "pictures", *(output / "masks").glob("*"), *(output / "maps").glob("*")]
    folders = [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]
    names = _names_of_earlier(output) if folders else set()
    # what lies there is compared with the names: a name with `..` leads nowhere else
    for folder in folders:
        for path in files_below(folder, unreadable=lambda *_: None):
            name = path.relative_to(folder).as_posix()
            stem, _, suffix = name.rpartition(".")
            if suffix in ("jpg", "png", "npy") and stem in names:
                with contextlib.suppress(OSError):
                    path.unlink()
    for name in ("predictions.json", "predictions.csv", "predictions.json.part", PARTIAL):
        with contextlib.suppress(FileNotFoundError):
            (output / name).unlink()


def _names_of_earlier(output: Path) -> set[str]:
    """Names of the pictures that an earlier call has written results of."""
    names: set[str] = set()
    broken = (OSError, ValueError, LookupError, TypeError, RecursionError)  # there was none, or it is not ours
    with contextlib.suppress(*broken):
        document = json.loads((output / "predictions.json").read_bytes())
        names |= {str(entry["file_name"]) for entry in document["images"]}
    with contextlib.suppress(*broken):
        for line in (output / PARTIAL).read_bytes().splitlines():
            entry = json.loads(line)
            if "image" in entry:
                names.add(str(entry["image"]["file_name"]))
    return names


def write_copy(one: Found, tasks: Mapping[str, Task], output: Path, pixel_range: PixelRange | None = None) -> None:
    """The annotated copy of one picture, a JPEG.

    Args:
        one: the picture.
        tasks: the tasks, by name.
        output: the folder of all results.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white.
    """
    # the whole name, so that a.jpg and a.png do not meet
    save_annotated(one, tasks, output / "pictures" / f"{one.name}.jpg", pixel_range, quality=90)


def save_annotated(
    one: Found, tasks: Mapping[str, Task], path: Path, pixel_range: PixelRange | None = None, **options: Any
) -> None:
    """The picture with what was found in it, whole or not at all.

    Args:
        one: the picture.
        tasks: the tasks, by name.
        path: the file; its folder is made.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white.
        options: of Pillow's `save`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = annotate(Picture(read_image(one.path, pixel_range=pixel_range), one.overlays), tasks)
    with contextlib.ExitStack() as half:
        half.callback(path.unlink, missing_ok=True)
        copy.save(path, **options)
        half.pop_all()


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
