"""`AnnotationFiles`: base class of data sets with one annotation file for each picture."""

from abc import abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from mtl.data.files_below import files_below
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures, match_names, nearest_pictures


class AnnotationFiles(FolderDataModule):
    """Pictures with one annotation file each, which is called as its picture; one without it is not annotated.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all names in the annotation
            files, in alphabetical order.
        images: folder of the pictures, relative to `root`.
        annotations: folder of the annotation files, relative to `root`.
        **kwargs: arguments of `FolderDataModule`.
    """

    suffix: ClassVar[str] = ""  # of the annotation files, in small letters

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        images: str = "images",
        annotations: str = "annotations",
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations)
        super().__init__(root, box_classes, **kwargs)
        self.images = self.root / images
        self.annotations = self.root / annotations
        self._pictures: dict[str, Path] = {}
        self._files: dict[str, Path] = {}  # annotation file by picture name
        self._all_files: list[Path] = []  # all annotation files, also without a picture

    @classmethod
    @abstractmethod
    def read_class_names(cls, root: Path, annotations: str = "annotations", **_: Any) -> list[str]:
        """Class names of the boxes, as in `FolderDataModule`."""

    @abstractmethod
    def read_annotation(self, name: str, picture: Path, file: Path | None) -> AnnotatedImage:
        """The record of one picture.

        Args:
            name: name of the picture.
            picture: file of the picture.
            file: its annotation file, None without one.
        """

    @classmethod
    def annotation_files(cls, folder: Path) -> list[Path]:
        """The annotation files below a folder.

        Args:
            folder: the folder.
        """
        return [path for path in files_below(folder) if path.suffix.lower() == cls.suffix]

    def names(self) -> list[str]:
        self._pictures = find_pictures(self.images)
        if not self.annotations.is_dir():
            raise ValueError(
                f"no folder of annotations {str(self.annotations)!r}. Correct `root`, or set it in `annotations`."
            )
        files: dict[str, Path] = {}
        for path in self.annotation_files(self.annotations):
            name = path.relative_to(self.annotations).with_suffix("").as_posix()
            _refuse_second(name, files.setdefault(name, path), path)
        matches = match_names(files, self._pictures)
        beside = nearest_pictures([path for name, path in files.items() if name not in matches], self._pictures)
        for name, path in files.items():
            match = matches.get(name) or beside.get(path)
            if match is None:
                self.data_report.add("annotation_without_image", "", name, path.name, "skipped")
            else:
                _refuse_second(match.name, self._files.setdefault(match.name, path), path)
                if not match.sure:
                    self.data_report.add("name_differs", "", match.name, f"annotation {path.name}", "matched")
        self._all_files = list(files.values())
        return list(self._pictures)

    def record(self, name: str) -> AnnotatedImage:
        return self.read_annotation(name, self._pictures.get(name, self.images / name), self._files.get(name))

    def explain_source(self, name: str) -> str:
        if self._all_files:
            first = self._all_files[0]
            return (
                f"{str(self.annotations)!r} has {len(self._all_files)} files *{first.suffix}, the first is "
                f"{first.name!r}, but none matches its pictures: {name!r} needs {name + self.suffix!r}."
            )
        suffixes = Counter(path.suffix or path.name for path in files_below(self.annotations))
        counts = ", ".join(f"{number} x *{suffix}" for suffix, number in suffixes.most_common(3)) or "no file at all"
        return f"{str(self.annotations)!r} has no *{self.suffix}, but {counts}."

    def release(self) -> None:
        self._files.clear()
        self._all_files.clear()


def _refuse_second(name: str, first: Path, second: Path) -> None:
    if first != second:
        raise ValueError(f"picture {name!r} has two annotation files, {str(first)!r} and {str(second)!r}; keep one.")
