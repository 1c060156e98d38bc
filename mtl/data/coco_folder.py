"""`COCOFolder`: a folder of pictures and COCO JSON files, anybody's own."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mtl.data.folder import FolderDataModule
from mtl.data.records import Record
from mtl.data.splits import SPLITS


class COCOFolder(FolderDataModule):
    """Pictures described by COCO JSON: one file for all, or one for each split.

    Category ids may have gaps; categories are matched to `box_classes` by name. A picture that the JSON lists without
    a box has no objects, as COCO means it; one that it does not list is not annotated. Crowd regions are left out and
    reported.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index.
        images: folder of the pictures, relative to `root`; `file_name` of the JSON is relative to it. A mapping
            gives each JSON file of `annotations` its own folder.
        annotations: the JSON file, relative to `root`, or a mapping of split to file. With a mapping the files are
            the splits, unless `fractions` are given or the folder `splits` exists.
        **kwargs: arguments of `FolderDataModule`.
    """

    def __init__(
        self,
        root: str,
        box_classes: list[str],
        images: str | dict[str, str] = "images",
        annotations: str | dict[str, str] = "annotations.json",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, box_classes, **kwargs)
        self.annotations: dict[str, str] = {"": annotations} if isinstance(annotations, str) else dict(annotations)
        for split in self.annotations:
            if split not in ("", *SPLITS):
                raise ValueError(f"annotations names a split {split!r}; splits are {', '.join(SPLITS)}.")
        self.images: dict[str, str] = dict.fromkeys(self.annotations, "") | (
            dict.fromkeys(self.annotations, images) if isinstance(images, str) else dict(images)
        )
        self._records: dict[str, Record] = {}
        self._listed: dict[str, list[str]] = {}

    def names(self) -> list[str]:
        for split, file in self.annotations.items():
            self._listed[split] = self._read_json(self.root / file, self.root / self.images[split])
        return list(self._records)

    def record(self, name: str) -> Record:
        return self._records.get(name) or self._unlisted(name)

    def release(self) -> None:
        self._records.clear()

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        if "" not in self.annotations and self.fractions is None and not (self.root / self.splits).is_dir():
            return {split: self._listed[split] for split in SPLITS if split in self._listed}
        return super().read_splits(names)

    def _unlisted(self, name: str) -> Record:
        folders = [self.root / folder for folder in dict.fromkeys(self.images.values())]
        found = [path for folder in folders for path in (folder / name).parent.glob(f"{PurePosixPath(name).name}.*")]
        return Record(name, found[0] if found else folders[0] / name, annotated=False)

    def _read_json(self, file: Path, folder: Path) -> list[str]:
        if not file.is_file():
            raise ValueError(f"no COCO file {str(file)!r}. Correct `root`, or name the file in `annotations`.")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            categories = {entry["id"]: entry["name"] for entry in content["categories"]}
            pictures = {entry["id"]: entry for entry in content["images"]}
            boxes = self._boxes(content["annotations"], categories, pictures)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{str(file)!r} is no COCO detection file ({type(error).__name__}: {error}); it needs the lists "
                "images, annotations and categories. Correct it, or name another file in `annotations`."
            ) from error
        listed = []
        for key, entry in pictures.items():
            name = PurePosixPath(entry["file_name"]).with_suffix("").as_posix()
            if name in self._records:
                # the same picture may stand in the JSON of two splits
                self.data_report.add("listed_twice", "", name, file.name, "kept the first")
            else:
                rows, classes = boxes.get(key, ([], []))
                declared = (entry["height"], entry["width"]) if "height" in entry and "width" in entry else None
                picture = folder / entry["file_name"]
                self._records[name] = Record(name, picture, np.array(rows).reshape(-1, 4), classes, declared=declared)
            listed.append(name)
        return listed

    def _boxes(
        self, annotations: list[dict[str, Any]], categories: Mapping[int, str], pictures: Mapping[int, dict[str, Any]]
    ) -> dict[int, tuple[list[list[float]], list[str]]]:
        """Boxes as xyxy and class names, by picture."""
        boxes: dict[int, tuple[list[list[float]], list[str]]] = {}
        for entry in annotations:
            picture, category = entry["image_id"], entry["category_id"]
            if picture not in pictures:
                self.data_report.add("annotation_without_image", "", str(picture), f"id {entry.get('id')}", "skipped")
                continue
            if entry.get("iscrowd"):
                self.data_report.add("crowd_box", "", pictures[picture]["file_name"], categories[category], "skipped")
                continue
            x, y, width, height = entry["bbox"]
            rows, classes = boxes.setdefault(picture, ([], []))
            rows.append([x, y, x + width, y + height])
            classes.append(categories[category])
        return boxes
