"""A source's annotations of one picture (`AnnotatedImage`), of a split (`Annotations`), and fault handling (`Checks`).

`Annotations` has a few flat arrays with offsets, not one Python object per picture, so worker processes share its
memory pages. Reference counts of Python objects would make each worker copy them.
Shapes: N pictures, T boxes of all pictures, n boxes of one picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl.data.deep_pixels import PixelRange
from mtl.data.folder.findings import DataReport

OnBadBox = Literal["error", "skip", "clip"]
OnUnknownClass = Literal["error", "skip"]
OnBadImage = Literal["error", "skip"]
BoxesOn = Literal["upright", "stored"]


def no_boxes() -> NDArray[np.float64]:
    """An empty array of boxes, [0,4]."""
    return np.zeros((0, 4))


@dataclass
class AnnotatedImage:
    """One picture as its source describes it, before packing.

    Args:
        name: name of the picture in splits and tables.
        path: file of the picture.
        boxes: xyxy px of the upright picture, where the first pixel spans 0..1, [n,4].
        classes: class names of the boxes.
        ignored: which boxes are ignored: not trained on, and neither right nor wrong in the metric; none by default.
        annotated: whether somebody looked for boxes; without boxes this says "there are none".
        declared: height and width that the annotation states.
        labels: image-level labels that the source itself gives, by task.
        maps: files with a value for every pixel, by task.
        source: the file that holds the annotation, for messages.
    """

    name: str
    path: Path
    boxes: NDArray[np.float64] = field(default_factory=no_boxes)
    classes: list[str] = field(default_factory=list)
    ignored: frozenset[int] = frozenset()
    annotated: bool = True
    declared: tuple[int, int] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Path] = field(default_factory=dict)
    source: str = ""

    def present(self, classes: Sequence[str]) -> list[float]:
        """1 for each class of which the picture has an object that is not ignored, else 0.

        Args:
            classes: class names.
        """
        there = {name for row, name in enumerate(self.classes) if row not in self.ignored}
        return [float(name in there) for name in classes]


@dataclass(frozen=True)
class Annotations:
    """The pictures and boxes of one split, as arrays.

    Args:
        names: names of the pictures, UTF-8 bytes [N].
        paths: their files, UTF-8 bytes [N].
        maps: files with a value for every pixel, by task, UTF-8 bytes [N]; empty where there is none.
        sizes: height and width of the upright files, [N,2].
        annotated: whether boxes were looked for, [N].
        offsets: boxes of picture i are rows offsets[i] to offsets[i + 1], [N+1].
        boxes: xyxy px of the upright pictures, float32 [T,4].
        labels: class index of each box, negative if it is ignored (`mtl.targets.detection`), int64 [T].
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
    """How to handle faults in the data.

    Args:
        box_classes: class names of boxes, in the order of their index.
        on_bad_box: action for a box that extends more than one pixel beyond its picture, or is not four numbers.
        on_unknown_class: action for a box of a class that is not in `box_classes`.
        verify_images: decode each picture once instead of reading only its header.
        on_bad_image: action for a picture that cannot be decoded or is too large.
        max_pixels: maximum number of pixels per picture; `mtl.data.images.MAX_PIXELS` by default.
        boxes_on: coordinates of boxes if a picture has an EXIF orientation: of the upright or the stored pixels.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white; None for the default,
            which their values must fit.
    """

    box_classes: tuple[str, ...]
    on_bad_box: OnBadBox = "error"
    on_unknown_class: OnUnknownClass = "error"
    verify_images: bool = False
    max_pixels: int | None = None
    boxes_on: BoxesOn | None = None
    on_bad_image: OnBadImage = "error"
    pixel_range: PixelRange | None = None

    def refuse_box(self, fault: str, image: str, report: DataReport) -> None:
        """Handle an annotation whose box is not four numbers: raise an error, or skip and report it.

        Args:
            fault: the annotation and its fault, for the message.
            image: name of its picture.
            report: receives the finding.

        Raises:
            ValueError: if `on_bad_box` is `error`.
        """
        if self.on_bad_box == "error":
            raise ValueError(f"{fault}. Correct the annotation, or skip it with on_bad_box: skip.")
        report.add("bad_box", "", image, fault, "skipped")
