"""`LabelMeFolder`: a data set of pictures and LabelMe JSON files in a folder."""

import json
from pathlib import Path
from typing import Any, ClassVar

from mtl.data.folder.annotation_files import AnnotationFiles
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.example_pictures import HEIGHT, WIDTH, write_example_pictures
from mtl.data.folder.files.labelme_json import labelme_document, labels_in, read_labelme


class LabelMeFolder(AnnotationFiles):
    """Pictures with one LabelMe JSON file each; a picture without one is not annotated.

    A rectangle, a polygon, a circle or a mask is an object, with the box around it. Points and lines are left out and
    reported. A file without shapes says that there is no object.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all labels in the JSON files, in
            alphabetical order.
        images: folder of the pictures, relative to `root`.
        annotations: folder of the JSON files, relative to `root`.
        **kwargs: arguments of `FolderDataModule`.
    """

    suffix: ClassVar[str] = ".json"

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        (folder / "annotations").mkdir()
        for name, (label, x0, y0, x1, y1) in write_example_pictures(folder).items():
            shape = {"label": label, "points": [[x0, y0], [x1, y1]], "shape_type": "rectangle"}
            document = {"shapes": [shape], "imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
            (folder / "annotations" / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(cls, root: Path, annotations: str = "annotations", **_: Any) -> list[str]:
        files = cls.annotation_files(root / annotations)
        names: set[str] = set()
        faults: list[ValueError] = []
        for file in files:
            try:
                names |= labels_in(labelme_document(file))
            except ValueError as fault:  # another JSON file; one that is called as a picture is refused with it
                faults.append(fault)
        if not names:
            if faults:
                raise faults[0]
            raise ValueError(
                f"{len(files)} JSON files below {str(root / annotations)!r} have no shape with a label, so there are "
                "no class names. Correct `annotations`, or set `box_classes`."
            )
        return sorted(names)

    def read_annotation(self, name: str, picture: Path, file: Path | None) -> AnnotatedImage:
        return read_labelme(name, picture, file, self.checks, self.data_report)
