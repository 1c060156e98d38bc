"""`BDD100K`: vehicles, drivable area and lanes of street scenes, in the folders that panoptic driving networks share.

Sources: pictures: Yu et al., "BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning", CVPR 2020,
arXiv:1805.04687. Folders: Wu et al., "YOLOP: You Only Look Once for Panoptic Driving Perception", arXiv:2108.11250.
Published numbers differ in what they measure: lane labels are wider in training than in the test, the "accuracy" of
lanes is a recall or a balanced accuracy, and IoUs are often means over pictures. Here they are over the set.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.map_files import MapFiles
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures
from mtl.data.sets.benchmarks.count_check import check_count
from mtl.task import Task

VEHICLES = {"car": "vehicle", "bus": "vehicle", "truck": "vehicle", "train": "vehicle"}
_COUNTS = {"train": 70_000, "val": 10_000}  # as published; labels of the 20,000 test pictures are not
_ABOVE_1: list[int | list[int]] = list(range(2, 256))  # numbers in the files of masks that mean "yes"
_CORNERS = ("x1", "y1", "x2", "y2")


def _maps() -> dict[str, MapFiles]:
    masks = {"drivable": "da_seg_annotations", "lanes": "ll_seg_annotations"}
    names = {"drivable": "drivable", "lanes": "lane"}
    return {task: MapFiles(folder, groups={"other": [0, 1], names[task]: _ABOVE_1}) for task, folder in masks.items()}


class BDD100K(FolderDataModule):
    """70,000 training and 10,000 test pictures; tasks `boxes`, `drivable` and `lanes` (two classes each).

    Args:
        root: folder with `images`, `det_annotations`, `da_seg_annotations` and `ll_seg_annotations`, each with `train`
            and `val`.
        categories: class of the boxes by category of the annotation; other categories are left out. As published: car,
            bus, truck and train are `vehicle`.
        check: compare the number of pictures with the benchmark's.
        **kwargs: arguments of `FolderDataModule` but `box_classes`, `map_tasks` and `splits`. With `fractions` the
            training pictures are split at random; by default validation and test are both on `val`, as published.
    """

    own_splits = True

    def __init__(self, root: str, categories: dict[str, str] | None = None, check: bool = True, **kwargs: Any) -> None:
        self.categories = dict(categories or VEHICLES)
        super().__init__(root, list(dict.fromkeys(self.categories.values())), map_tasks=_maps(), **kwargs)
        self.check = check
        self._pictures: dict[str, Path] = {}

    @classmethod
    def declare_tasks(
        cls,
        *,
        box_classes: Sequence[str] | None = (),
        categories: Mapping[str, str] | None = None,
        image_tasks: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Task]:
        classes = list(box_classes or ()) or list(dict.fromkeys((categories or VEHICLES).values()))
        return super().declare_tasks(box_classes=classes, image_tasks=image_tasks, map_tasks=_maps())

    def names(self) -> list[str]:
        for split, count in _COUNTS.items():
            found = find_pictures(self.root / "images" / split)
            if self.check:
                check_count(f"{str(self.root / 'images' / split)!r} has", len(found), count)
            self._pictures |= {f"{split}/{name}": path for name, path in found.items()}
        return list(self._pictures)

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        if self.fractions is not None:
            return super().read_splits([name for name in names if name.startswith("train/")])
        val = [name for name in names if name.startswith("val/")]
        return {"train": [name for name in names if name.startswith("train/")], "val": val, "test": val}

    def record(self, name: str) -> AnnotatedImage:
        path = self.root / "det_annotations" / f"{name}.json"
        record = AnnotatedImage(name, self._pictures[name], annotated=path.is_file())
        if not record.annotated:
            return record
        try:
            objects = json.loads(path.read_text("utf-8"))["frames"][0]["objects"]
            found = [(item["category"], item["box2d"]) for item in objects if "box2d" in item]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"annotation {str(path)!r} is no annotation of BDD100K ({error!r}).") from error
        boxes = []
        for category, box in found:
            if category not in self.categories:
                continue
            try:
                boxes.append([float(box[corner]) for corner in _CORNERS])
            except (KeyError, TypeError, ValueError):
                fault = f"annotation {str(path)!r}: a {category!r} needs numbers for {', '.join(_CORNERS)}"
                self.checks.refuse_box(fault, name, self.data_report)
                continue
            record.classes.append(self.categories[category])
        record.boxes = np.array(boxes, float).reshape(-1, 4)
        return record

    def release(self) -> None:
        self._pictures.clear()
