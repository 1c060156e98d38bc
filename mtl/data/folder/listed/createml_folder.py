"""`CreateMLFolder`: a data set of pictures and CreateML JSON files in a folder."""

import json
from pathlib import Path
from typing import Any, ClassVar

from mtl.data.folder.example_pictures import write_example_pictures
from mtl.data.folder.files.box_rows import BoxUnit
from mtl.data.folder.files.createml_json import Origin, createml_entries, read_createml
from mtl.data.folder.files.declared import plain_label
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.listed.listed_folder import ListedFolder


class CreateMLFolder(ListedFolder):
    """Pictures described by CreateML JSON: one file for all pictures, or one per split.

    A listed picture without annotations has no objects; a picture that is not listed is not annotated.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all labels, in alphabetical
            order.
        annotations: the JSON file, relative to `root`, or a mapping of split to file.
        origin: what x and y of a box are: its `center`, as CreateML has it, or its corner at the top left.
        box_unit: `px`, or `share` of the picture's width and height; by default shares if all numbers are so small.
        **kwargs: arguments of `ListedFolder`.
    """

    default_annotations: ClassVar[str] = "annotations.json"

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        annotations: str | dict[str, str] = "annotations.json",
        origin: Origin = "center",
        box_unit: BoxUnit | None = None,
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations)
        super().__init__(root, box_classes, annotations=annotations, **kwargs)
        self.origin = origin
        self.box_unit = box_unit

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        entries = []
        for name, (label, x0, y0, x1, y1) in write_example_pictures(folder).items():
            sides = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}
            entries.append({"image": f"{name}.png", "annotations": [{"label": label, "coordinates": sides}]})
        (folder / "annotations.json").write_text(json.dumps(entries), encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(cls, root: Path, annotations: str | dict[str, str] | None = None, **_: Any) -> list[str]:
        files = cls.files_of(root, annotations)
        boxes = [box for file in files for _, of_picture in createml_entries(file) for box in of_picture]
        names = {plain_label(box.get("label")) for box in boxes} - {""}
        if not names:
            raise ValueError(
                f"{str(files[0])!r} has no box with a label, so there are no class names. Set `box_classes`."
            )
        return sorted(names)

    def read_list(self, file: Path) -> list[ListedPicture]:
        return read_createml(file, self.origin, self.box_unit, self.checks, self.data_report)
