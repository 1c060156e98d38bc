"""`YOLOFolder`: a data set of pictures with YOLO text files, in the layouts of Ultralytics, Roboflow and darknet."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.example_pictures import CLASSES, HEIGHT, WIDTH, write_example_pictures
from mtl.data.folder.files.shares import in_pixels
from mtl.data.folder.files.yolo_files import YoloDescription, describe_yolo, label_file, listed_pictures, read_objects
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures
from mtl.data.folder.splits import SPLITS


class YOLOFolder(FolderDataModule):
    """Pictures with one text file each: a line is `class cx cy width height` in shares of the picture, or a polygon.

    The text file of `images/a.jpg` is `labels/a.txt`, also in deeper folders, or `a.txt` beside the picture. An empty
    file says that there is no object. A polygon counts as the box around it.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default the names in `data_yaml`, or in
            `classes.txt`, else the numbers in the text files.
        images: folder that holds all pictures, relative to `root`.
        data_yaml: file with `names` and the splits, relative to `root`; found by itself by default. Its splits count
            unless `fractions` is given or the folder `splits` exists.
        without_file: a picture without a text file has no objects (`no_objects`), as YOLO tools take it, or was not
            annotated (`not_annotated`); both are reported.
        **kwargs: arguments of `FolderDataModule`.
    """

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        images: str = ".",
        data_yaml: str | None = None,
        without_file: Literal["no_objects", "not_annotated"] = "no_objects",
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), images, data_yaml)
        super().__init__(root, box_classes, **kwargs)
        self.images = self.root / images
        self.data_yaml = data_yaml
        self.without_file = without_file
        self._described = YoloDescription()
        self._pictures: dict[str, Path] = {}
        self._labels: dict[str, Path] = {}  # text file by picture name, where there is one

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        (folder / "labels").mkdir()
        for name, (label, x0, y0, x1, y1) in write_example_pictures(folder).items():
            box = ((x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
            line = " ".join(map(str, (CLASSES.index(label), *box)))
            (folder / "labels" / f"{name}.txt").write_text(line + "\n", encoding="utf-8")
        (folder / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n", encoding="utf-8")
        return {**cls.arguments_of_example(folder), "images": "images"}

    @classmethod
    def read_class_names(cls, root: Path, images: str = ".", data_yaml: str | None = None, **_: Any) -> list[str]:
        if names := describe_yolo(root, data_yaml).names:
            return list(names)
        files = (label_file(path, root) for path in find_pictures(root / images).values())
        indices = [index for file in files if file.is_file() for index, _ in read_objects(file)]
        if max(indices, default=-1) < 0:
            raise ValueError(
                f"no text file of a picture in {str(root)!r} has a box, and no data.yaml or classes.txt there names "
                "the classes. Set `box_classes`."
            )
        return [str(index) for index in range(max(indices) + 1)]

    def names(self) -> list[str]:
        self._described = describe_yolo(self.root, self.data_yaml)
        self._pictures = find_pictures(self.images)
        files = {name: label_file(path, self.root) for name, path in self._pictures.items()}
        self._labels = {name: file for name, file in files.items() if file.is_file()}
        if not self._labels:
            first = next(iter(files.values()))
            raise ValueError(
                f"no picture below {str(self.images)!r} has a text file with its boxes; the first one needs "
                f"{str(first)!r}. Correct `root` or `images`, or put the text files there."
            )
        used = set(self._labels.values())
        for folder in sorted({file.parent for file in used}):
            for file in sorted(folder.glob("*.txt")):
                if file not in used and file != self._described.file and _is_labels(file):
                    name = file.relative_to(self.root).with_suffix("").as_posix()
                    self.data_report.add("annotation_without_image", "", name, file.name, "skipped")
        return list(self._pictures)

    def record(self, name: str) -> AnnotatedImage:
        path, file = self._pictures.get(name, self.images / name), self._labels.get(name)
        if file is None:
            absent = self.without_file == "no_objects"
            action = "no objects" if absent else "not labelled"
            if name in self._pictures:
                self.data_report.add("no_label_file", "", name, "", action)
            return AnnotatedImage(name, path, annotated=absent and name in self._pictures)
        boxes, classes = [], []
        for index, box in read_objects(file):
            if isinstance(box, str):
                self.checks.refuse_box(box, name, self.data_report)
                continue
            boxes.append(box)
            known = 0 <= index < len(self.checks.box_classes)
            classes.append(self.checks.box_classes[index] if known else f"class {index}{self._of_names()}")
        shares = AnnotatedImage(name, path, boxes=np.array(boxes).reshape(-1, 4), classes=classes)
        return in_pixels(shares, self.checks)

    def _of_names(self) -> str:
        file = self._described.file
        return "" if file is None else f" ({file.name} names {len(self._described.names)} classes)"

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        if self.fractions is None and not (self.root / self.splits).is_dir() and self._described.splits:
            found = {}
            for split in SPLITS:
                entries = [listed_pictures(entry, self.images) for entry in self._described.splits.get(split, [])]
                if wanted := [name for entry in entries for name in entry or []]:
                    found[split] = wanted
            if "train" in found:
                return found
        return super().read_splits(names)

    def release(self) -> None:
        self._labels.clear()


def _is_labels(file: Path) -> bool:
    return any(index >= 0 and not isinstance(box, str) for index, box in read_objects(file))
