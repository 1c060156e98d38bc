"""What a source says about pictures (`AnnotatedImage`), as arrays (`Annotations`), and what faults lead to (`Checks`).

Annotations are a few flat arrays with offsets, not one Python object per picture: worker processes share their pages
instead of copying them as reference counts change.
Shapes: N pictures, T boxes of all pictures, n boxes of one picture.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl.data.folder.findings import DataReport

OnBadBox = Literal["error", "skip", "clip"]
OnUnknownClass = Literal["error", "skip"]
BoxesOn = Literal["upright", "stored"]


def no_boxes() -> NDArray[np.float64]:
    """An empty array of boxes, [0,4]."""
    return np.zeros((0, 4))


@dataclass
class AnnotatedImage:
    """One picture as a source describes it; lives only until it is packed.

    Args:
        name: its name in splits and tables.
        path: the picture's file.
        boxes: xyxy px of the upright file, the first pixel spans 0..1, [n,4].
        classes: class names of the boxes.
        annotated: whether somebody looked for boxes; without boxes this says "there are none".
        declared: height and width that the annotation states.
        labels: image-level labels that the source itself gives, by task.
        maps: files with a value for every pixel, by task.
    """

    name: str
    path: Path
    boxes: NDArray[np.float64] = field(default_factory=no_boxes)
    classes: list[str] = field(default_factory=list)
    annotated: bool = True
    declared: tuple[int, int] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotations:
    """Everything about the pictures of one split, as arrays.

    Args:
        names: names of the pictures, UTF-8 bytes [N].
        paths: their files, UTF-8 bytes [N].
        maps: files with a value for every pixel, by task, UTF-8 bytes [N]; empty where there is none.
        sizes: height and width of the upright files, [N,2].
        annotated: whether boxes were looked for, [N].
        offsets: boxes of picture i are rows offsets[i] to offsets[i + 1], [N+1].
        boxes: xyxy px of the upright files, float32 [T,4].
        labels: class index of every box, int64 [T].
    """

    names: NDArray[np.bytes_]
    paths: NDArray[np.bytes_]
    maps: dict[str, NDArray[np.bytes_]]
    sizes: NDArray[np.int64]
    annotated: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Checks:
    """What to do about faults in the data.

    Args:
        box_classes: class names of boxes in the order of their index.
        on_bad_box: what to do with a box more than one pixel outside its picture, or that is not four numbers.
        on_unknown_class: what to do with a box of a class that is not listed.
        verify_images: decode every picture once instead of reading its header only.
        max_pixels: most pixels of a picture; `mtl.data.images.MAX_PIXELS` by default.
        boxes_on: pixels that the boxes of a picture with an EXIF orientation are on.
    """

    box_classes: tuple[str, ...]
    on_bad_box: OnBadBox = "error"
    on_unknown_class: OnUnknownClass = "error"
    verify_images: bool = False
    max_pixels: int | None = None
    boxes_on: BoxesOn | None = None

    def refuse_box(self, fault: str, image: str, report: DataReport) -> None:
        """What happens to an annotation whose box is not four numbers: an error, or it is left out and reported.

        Args:
            fault: which annotation, and what it has instead.
            image: name of its picture.
            report: takes the finding.

        Raises:
            ValueError: where a bad box is an error.
        """
        if self.on_bad_box == "error":
            raise ValueError(f"{fault}. Correct the annotation, or leave it out with on_bad_box: skip.")
        report.add("bad_box", "", image, fault, "skipped")
