"""`COCOFolder`: a data set of pictures and COCO JSON files in a folder."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.class_names import coco_names
from mtl.data.folder.example_pictures import CLASSES, HEIGHT, WIDTH, write_example_pictures
from mtl.data.folder.files.coco_json import read_coco
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.listed.listed_folder import ListedFolder
from mtl.data.folder.picture_names import is_file, match_names, picture_index, plain_name


class COCOFolder(ListedFolder):
    """Pictures described by COCO JSON: one file for all pictures, or one per split.

    Category ids may have gaps; categories are matched to `box_classes` by name. As in COCO, a listed picture without
    boxes has no objects; a picture that is not listed is not annotated. Crowd regions are skipped and reported.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default the categories of the JSON in the
            order of their ids.
        images: folder of the pictures, relative to `root`; `file_name` in the JSON is relative to it. A mapping of
            split to folder sets one folder per JSON file of `annotations`.
        annotations: the JSON file, relative to `root`, or a mapping of split to file. With a mapping, the files define
            the splits, unless `fractions` is given or the folder `splits` exists.
        **kwargs: arguments of `ListedFolder`.
    """

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        images: str | dict[str, str] = "images",
        annotations: str | dict[str, str] = "annotations.json",
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations)
        one = images if isinstance(images, str) else "images"
        super().__init__(root, box_classes, one, annotations, **kwargs)
        self.images: dict[str, str] = dict.fromkeys(self.annotations, "") | (
            dict.fromkeys(self.annotations, images) if isinstance(images, str) else dict(images)
        )
        self._on_disk: dict[str, dict[str, Path]] = {}  # pictures by folder and name; read if a file is missing
        self._others: dict[str, dict[str, Path]] = {}  # the subset that no JSON lists

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        images: list[dict[str, Any]] = []
        annotations = []
        for name, (label, x0, y0, x1, y1) in write_example_pictures(folder).items():
            images.append({"id": len(images), "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT})
            box, category = [x0, y0, x1 - x0, y1 - y0], CLASSES.index(label)
            annotations.append({"image_id": images[-1]["id"], "category_id": category, "bbox": box, "iscrowd": 0})
        categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES)]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(
        cls, root: Path, annotations: str | dict[str, str] = "annotations.json", **_: Any
    ) -> list[str]:
        return coco_names(cls.files_of(root, annotations))

    def read_list(self, file: Path) -> list[ListedPicture]:
        return read_coco(file, self.checks, self.data_report)

    def names(self) -> list[str]:
        entries: list[_Entry] = []
        for split, file in self.annotations.items():
            listed = self.read_list(self.root / file)
            paths = self._files(self.images[split], [picture.file_name for picture in listed])
            entries += [_Entry(split, self.images[split], *pair) for pair in zip(listed, paths, strict=True)]
        names = _distinct_names(entries, self.root)
        for entry, name in zip(entries, names, strict=True):
            self.keep(name, entry.path, entry.picture, entry.split)
        return list(self._records)

    def other_names(self) -> list[str]:
        return [name for folder in dict.fromkeys(self.images.values()) for name in self._not_listed(folder)]

    def record(self, name: str) -> AnnotatedImage:
        return self._records.get(name) or self._unlisted(name)

    def explain_source(self, name: str) -> str:
        files = ", ".join(repr(str(self.root / file)) for file in self.annotations.values())
        first = f"; it lists {next(iter(self._records))!r} and others" if self._records else ""
        return f"The list `images` of {files} contains none of its pictures, for example {name!r}{first}."

    def release(self) -> None:
        super().release()
        self._on_disk.clear()
        self._others.clear()

    def _unlisted(self, name: str) -> AnnotatedImage:
        folders = list(dict.fromkeys(self.images.values()))
        paths = [pictures[name] for folder in folders if name in (pictures := self._not_listed(folder))]
        path = paths[0] if paths else self.root / folders[0] / name
        return AnnotatedImage(name, path, annotated=bool(paths) and self.not_listed == "no_objects")

    def _files(self, folder: str, file_names: Sequence[str]) -> list[Path]:
        """The file of each `file_name`; if no such file exists, the one picture that matches the name."""
        paths = {name: _straight(self.root / folder / plain_name(name)) for name in file_names}
        missing = [name for name, path in paths.items() if not is_file(path)]
        if missing:
            taken = set(paths.values())
            free = {name: path for name, path in self._pictures_in(folder).items() if path not in taken}
            matches = match_names(missing, free)
            claims = Counter(match.name for match in matches.values())
            for text, match in matches.items():
                if claims[match.name] == 1:
                    paths[text] = free[match.name]
                    self.data_report.add("name_differs", "", match.name, f"file_name {text!r}", "matched")
        return [paths[name] for name in file_names]

    def _not_listed(self, folder: str) -> dict[str, Path]:
        if folder not in self._others:
            listed = {record.path for record in self._records.values()}
            pictures = self._pictures_in(folder)
            self._others[folder] = {name: path for name, path in pictures.items() if path not in listed}
        return self._others[folder]

    def _pictures_in(self, folder: str) -> dict[str, Path]:
        if folder not in self._on_disk:
            self._on_disk[folder] = picture_index(self.root / folder)
        return self._on_disk[folder]


@dataclass
class _Entry:
    """A listed picture and its file."""

    split: str
    folder: str
    picture: ListedPicture
    path: Path


def _distinct_names(entries: Sequence[_Entry], root: Path) -> list[str]:
    """A name per picture: its path in its folder, without extension; two files with the same name get a longer path."""
    names = []
    for entry in entries:
        folder = root / entry.folder
        inside = entry.path.relative_to(folder) if entry.path.is_relative_to(folder) else entry.path
        names.append(inside.with_suffix("").as_posix())
    longer = [(PurePosixPath(entry.folder) / name).as_posix() for entry, name in zip(entries, names, strict=True)]
    longest = [name + entry.path.suffix for entry, name in zip(entries, longer, strict=True)]
    for form in (longer, longest):
        paths = defaultdict(set)
        for entry, name in zip(entries, names, strict=True):
            paths[name].add(entry.path)
        names = [more if len(paths[name]) > 1 else name for name, more in zip(names, form, strict=True)]
    return names


def _straight(path: Path) -> Path:
    """The path without `..`, if that is the same file."""
    straight = Path(os.path.normpath(path)) if ".." in path.parts else path
    return straight if is_file(straight) else path
