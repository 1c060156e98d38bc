"""Plain shapes that a prediction and its target come to; `mtl.drawing` renders them and knows no kind of task.

Boxes are xyxy pixels of the picture that is drawn on. `in_file` moves a shape from the network's input to the file that
it came from: original = pixel * scale + offset, by scale x, scale y, offset x, offset y.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Boxes:
    """Boxes on one picture.

    Args:
        boxes: xyxy px, [N,4].
        labels: class indices, [N].
        scores: confidence of each, [N]; None for true boxes.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor | None = None

    def in_file(self, to_original: Tensor, height: int, width: int) -> "Boxes":
        """The boxes in pixels of the file, cut at its edge; what lies in the bars of a letterbox is gone.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        to_original = to_original.cpu()
        corners = (self.boxes.view(-1, 2) * to_original[:2] + to_original[2:]).clamp(min=0)
        boxes = corners.minimum(torch.tensor([width, height])).view(-1, 4)
        real = (boxes[:, 2:] > boxes[:, :2]).all(-1)
        if real.all():
            return Boxes(boxes, self.labels, self.scores)
        return Boxes(boxes[real], self.labels[real], None if self.scores is None else self.scores[real])


@dataclass(frozen=True)
class ClassMap:
    """A class for every pixel of one picture.

    Args:
        labels: class indices, [H,W]; below 0 where nothing is known.
    """

    labels: Tensor

    def in_file(self, to_original: Tensor, height: int, width: int) -> "ClassMap":
        """The class of every pixel of the file, from the nearest pixel of the network's input.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        return ClassMap(_nearest(self.labels, to_original, height, width))


@dataclass(frozen=True)
class ValueMap:
    """A number for every pixel of one picture, such as a depth or a probability.

    Args:
        values: float, [H,W]; NaN where unknown.
        low: the value that is drawn darkest.
        high: the value that is drawn brightest.
    """

    values: Tensor
    low: float
    high: float

    def in_file(self, to_original: Tensor, height: int, width: int) -> "ValueMap":
        """The value of every pixel of the file, from the nearest pixel of the network's input.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        return replace(self, values=_nearest(self.values, to_original, height, width))


@dataclass(frozen=True)
class Directions:
    """A unit vector for every pixel of one picture.

    Args:
        vectors: float, [3,H,W]; NaN where unknown.
    """

    vectors: Tensor

    def in_file(self, to_original: Tensor, height: int, width: int) -> "Directions":
        """The vector of every pixel of the file, from the nearest pixel of the network's input.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        return Directions(_nearest(self.vectors, to_original, height, width))


@dataclass(frozen=True)
class Points:
    """Named points on one picture.

    Args:
        points: x and y px of every point, [J,2]; NaN where unknown.
        scores: confidence of each, [J]; None for true points.
    """

    points: Tensor
    scores: Tensor | None = None

    def in_file(self, to_original: Tensor, height: int, width: int) -> "Points":
        """The points in pixels of the file; what lies in the bars of a letterbox moves to its edge.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        points = (self.points * to_original.cpu()[:2] + to_original.cpu()[2:]).clamp(min=0)  # NaN stays NaN
        return replace(self, points=points.minimum(torch.tensor([width, height])))


@dataclass(frozen=True)
class Answer:
    """What was said about a sample in words.

    Args:
        predicted: the predicted class, number or text.
        true: the true one; None where it is not annotated.
        score: confidence, where there is one.
        correct: None where it is unknown.
        positive: of a task of two classes the second one, and its probability: a threshold may lie elsewhere than 0.5.
    """

    predicted: str
    true: str | None = None
    score: float | None = None
    correct: bool | None = None
    positive: tuple[str, float] | None = None

    def __str__(self) -> str:
        """`7`, or `1, is 7` where it is wrong."""
        right = self.true is None or self.correct or self.predicted == self.true
        return self.predicted if right else f"{self.predicted}, is {self.true}"


Shape = Boxes | ClassMap | ValueMap | Directions | Points


@dataclass(frozen=True)
class Overlay:
    """What one task has to show for one sample.

    Args:
        predicted: a shape on the picture.
        true: the same for the annotation; None where there is none.
        answer: words above the picture.
    """

    predicted: Shape | None = None
    true: Shape | None = None
    answer: Answer | None = None

    def in_file(self, to_original: Tensor, height: int, width: int) -> "Overlay":
        """The prediction in pixels of the file that the sample came from.

        Args:
            to_original: scales and offsets, [4].
            height: of the file's picture.
            width: of the file's picture.
        """
        shape = self.predicted
        return self if shape is None else replace(self, predicted=shape.in_file(to_original, height, width))


def boxes_to_original(boxes: Tensor, to_original: Tensor) -> Tensor:
    """Boxes of the network's input in pixels of the file they came from.

    Args:
        boxes: xyxy px, [B,M,4].
        to_original: scale x, scale y, offset x, offset y of every sample, [B,4].

    Returns:
        xyxy in original pixels, [B,M,4].
    """
    scale, offset = to_original[:, None, :2], to_original[:, None, 2:]
    return boxes * torch.cat((scale, scale), -1) + torch.cat((offset, offset), -1)


def _nearest(values: Tensor, to_original: Tensor, height: int, width: int) -> Tensor:
    """A map [...,H,W] of the network's input in pixels of the file."""
    scale_x, scale_y, offset_x, offset_y = to_original.tolist()
    rows, columns = (
        ((torch.arange(size) + 0.5 - offset) / scale).floor().long().clamp(0, limit - 1)
        for size, offset, scale, limit in (
            (height, offset_y, scale_y, values.shape[-2]),
            (width, offset_x, scale_x, values.shape[-1]),
        )
    )
    return values[..., rows, :][..., columns]
