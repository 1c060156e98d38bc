"""`CVATFolder`: a data set of pictures and XML files of CVAT in a folder."""

from pathlib import Path
from typing import Any, ClassVar

from mtl.data.folder.example_pictures import HEIGHT, WIDTH, write_example_pictures
from mtl.data.folder.files.cvat_xml import cvat_labels, read_cvat
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.listed.listed_folder import ListedFolder


class CVATFolder(ListedFolder):
    """Pictures described by XML files that CVAT exports as "CVAT for images": one for all pictures, or one per split.

    A box, a polygon, an ellipse, a mask or a cuboid is an object, with the box around it. Points, lines and skeletons
    are left out and reported. A listed picture without shapes has no objects; a picture that is not listed is not
    annotated.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all labels of shapes, in
            alphabetical order.
        annotations: the XML file, relative to `root`, or a mapping of split to file.
        **kwargs: arguments of `ListedFolder`.
    """

    default_annotations: ClassVar[str] = "annotations.xml"

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        annotations: str | dict[str, str] = "annotations.xml",
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations)
        super().__init__(root, box_classes, annotations=annotations, **kwargs)

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        lines = ["<annotations>"]
        for name, (label, *box) in write_example_pictures(folder).items():
            sides = " ".join(f'{side}="{value}"' for side, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
            lines.append(f'<image name="{name}.png" width="{WIDTH}" height="{HEIGHT}">')
            lines.append(f'<box label="{label}" {sides}/></image>')
        (folder / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]), encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(cls, root: Path, annotations: str | dict[str, str] | None = None, **_: Any) -> list[str]:
        files = cls.files_of(root, annotations)
        names = {label for file in files for label in cvat_labels(file)}
        if not names:
            raise ValueError(
                f"{str(files[0])!r} has no box or polygon with a label, so there are no class names. Set `box_classes`."
            )
        return sorted(names)

    def read_list(self, file: Path) -> list[ListedPicture]:
        return read_cvat(file, self.checks, self.data_report)
