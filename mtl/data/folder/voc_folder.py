"""`VOCFolder`: a data set of pictures and Pascal VOC XML files in a folder."""

from pathlib import Path
from typing import Any, ClassVar

from mtl.data.folder.annotation_files import AnnotationFiles
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.class_names import voc_names
from mtl.data.folder.example_pictures import write_example_pictures
from mtl.data.folder.files.voc_xml import Difficult, read_voc


class VOCFolder(AnnotationFiles):
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

    suffix: ClassVar[str] = ".xml"

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
        super().__init__(root, box_classes, images, annotations, **kwargs)
        self.one_based = one_based
        self.difficult = difficult

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

    def read_annotation(self, name: str, picture: Path, file: Path | None) -> AnnotatedImage:
        return read_voc(name, picture, file, self.one_based, self.difficult, self.checks, self.data_report)
