"""`VOCFolder`: a folder of pictures and Pascal VOC XML files, anybody's own."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtl.data.folder import FolderDataModule, find_pictures
from mtl.data.records import Record

Difficult = Literal["keep", "skip"]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VOCFolder(FolderDataModule):
    """Pictures with one VOC XML file each; a picture without its XML file is "not annotated".

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index.
        images: folder of the pictures, relative to `root`.
        annotations: folder of the XML files, relative to `root`.
        one_based: whether the first pixel is number 1, as in Pascal VOC and in what most tools write: the box
            1 1 10 10 then covers ten pixels, 0..10. Set it to false for files whose first pixel is 0.
        difficult: what to do with boxes marked difficult.
        **kwargs: arguments of `FolderDataModule`.
    """

    def __init__(
        self,
        root: str,
        box_classes: list[str],
        images: str = "images",
        annotations: str = "annotations",
        one_based: bool = True,
        difficult: Difficult = "keep",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, box_classes, **kwargs)
        self.images = self.root / images
        self.annotations = self.root / annotations
        self.one_based = one_based
        self.difficult = difficult
        self._pictures: dict[str, Path] = {}

    def names(self) -> list[str]:
        self._pictures = find_pictures(self.images)
        if not self.annotations.is_dir():
            raise ValueError(
                f"no folder of annotations {str(self.annotations)!r}. Correct `root`, or name it in `annotations`."
            )
        for path in sorted(self.annotations.rglob("*.xml")):
            name = path.relative_to(self.annotations).with_suffix("").as_posix()
            if name not in self._pictures:
                self.data_report.add("annotation_without_image", "", name, path.name, "skipped")
        return list(self._pictures)

    def record(self, name: str) -> Record:
        path = self._pictures.get(name, self.images / name)
        return read_voc(name, path, self.annotations / f"{name}.xml", self.one_based, self.difficult)


def read_voc(name: str, picture: Path, annotation: Path, one_based: bool, difficult: Difficult) -> Record:
    """One picture and its XML file.

    Args:
        name: the picture's name.
        picture: its file.
        annotation: its XML file; if there is none the picture is not annotated.
        one_based: whether the first pixel is number 1.
        difficult: whether boxes marked difficult are kept.

    Raises:
        ValueError: if the XML cannot be read, or a box has no class or no number for a corner.
    """
    if not annotation.is_file():
        return Record(name, picture, annotated=False)
    try:
        tree = ElementTree.parse(annotation).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(
            f"annotation {str(annotation)!r} is no XML ({error}). Correct it, or remove it: then it is not annotated."
        ) from error
    boxes, classes = [], []
    for item in tree.iter("object"):
        if difficult == "skip" and (item.findtext("difficult") or "0").strip() == "1":
            continue
        try:
            # parts of a person have boxes of their own below theirs
            box = np.array([float(item.findtext(f"bndbox/{corner}", "")) for corner in _CORNERS])
        except ValueError as error:
            raise ValueError(f"annotation {str(annotation)!r}: an object has no numbers for {_CORNERS}.") from error
        if one_based:
            # the last pixel belongs to the box, so its far side is one further; a box without area stays without
            box -= [1, 1, 0, 0] if (box[2:] > box[:2]).all() else [1, 1, 1, 1]
        boxes.append(box)
        classes.append((item.findtext("name") or "").strip())
    width, height = (int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    return Record(
        name,
        picture,
        boxes=np.array(boxes).reshape(-1, 4),
        classes=classes,
        declared=(height, width) if height and width else None,
    )
