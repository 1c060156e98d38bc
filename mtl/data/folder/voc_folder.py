"""`VOCFolder`: a data set of pictures and Pascal VOC XML files in a folder."""

from collections import Counter
from pathlib import Path
from typing import Any

from mtl.data.files_below import files_below
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.class_names import voc_names
from mtl.data.folder.example_pictures import write_example_pictures
from mtl.data.folder.files.voc_xml import Difficult, read_voc
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures, match_names, nearest_pictures


class VOCFolder(FolderDataModule):
    """Pictures with one VOC XML file each (`.xml` in any case); a picture without an XML file is not annotated.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all names in the XML files, in
            alphabetical order.
        images: folder of the pictures, relative to `root`.
        annotations: folder of the XML files, relative to `root`.
        one_based: whether the first pixel has number 1, as in Pascal VOC and in most tools: the box 1 1 10 10 then
            covers ten pixels, 0..10. Set it to false if the first pixel has number 0.
        difficult: boxes marked difficult are objects (`keep`), or not trained on and ignored by the metric (`skip`).
        **kwargs: arguments of `FolderDataModule`.
    """

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        images: str = "images",
        annotations: str = "annotations",
        one_based: bool = True,
        difficult: Difficult = "keep",
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations)
        super().__init__(root, box_classes, **kwargs)
        self.images = self.root / images
        self.annotations = self.root / annotations
        self.one_based = one_based
        self.difficult = difficult
        self._pictures: dict[str, Path] = {}
        self._files: dict[str, Path] = {}  # annotation file by picture name
        self._all_files: list[Path] = []  # all annotation files, also without a picture

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        (folder / "annotations").mkdir()
        for name, (label, *box) in write_example_pictures(folder).items():
            sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
            text = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
            text = f"<annotation><object><name>{label}</name><bndbox>{text}</bndbox></object></annotation>"
            (folder / "annotations" / f"{name}.xml").write_text(text, encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(cls, root: Path, annotations: str = "annotations", **_: Any) -> list[str]:
        return voc_names(root / annotations)

    def names(self) -> list[str]:
        self._pictures = find_pictures(self.images)
        if not self.annotations.is_dir():
            raise ValueError(
                f"no folder of annotations {str(self.annotations)!r}. Correct `root`, or set it in `annotations`."
            )
        files: dict[str, Path] = {}
        for path in files_below(self.annotations):
            if path.suffix.lower() == ".xml":
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
        path = self._pictures.get(name, self.images / name)
        return read_voc(
            name, path, self._files.get(name), self.one_based, self.difficult, self.checks, self.data_report
        )

    def explain_source(self, name: str) -> str:
        if self._all_files:
            first = self._all_files[0]
            return (
                f"{str(self.annotations)!r} has {len(self._all_files)} files *{first.suffix}, the first is "
                f"{first.name!r}, but none matches its pictures: {name!r} needs {name + '.xml'!r}."
            )
        suffixes = Counter(path.suffix or path.name for path in files_below(self.annotations))
        counts = ", ".join(f"{number} x *{suffix}" for suffix, number in suffixes.most_common(3)) or "no file at all"
        return f"{str(self.annotations)!r} has no *.xml, but {counts}."

    def release(self) -> None:
        self._files.clear()
        self._all_files.clear()


def _refuse_second(name: str, first: Path, second: Path) -> None:
    if first != second:
        raise ValueError(f"picture {name!r} has two annotation files, {str(first)!r} and {str(second)!r}; keep one.")
