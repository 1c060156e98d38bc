"""Which detections are right, at one overlap: for curves over the score, confusions of classes, and sizes of objects.

As in COCO, the detections of a class take its true boxes in the order of their scores, each the best free one; a
detection on an ignored box counts for nothing, and its overlap with such a box, perhaps a crowd, is the share of the
detection inside it. The average precision is the area under the precision, made monotone,
at every recall (COCO samples it at 101 recalls).
Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; pycocotools.
Shapes: N detections and M true boxes of one image, C classes; K detections of all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from faster_coco_eval.core import mask
from torch import Tensor
from torchvision.ops import box_convert

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, float("inf"))}  # areas in pixels


@dataclass(frozen=True)
class ImageBoxes:
    """The detections and true boxes of one image.

    Args:
        boxes: detected xyxy px, [N,4].
        scores: of each, [N].
        labels: their classes, [N].
        true_boxes: xyxy px, [M,4].
        true_labels: their classes, [M].
        ignored: true boxes that count neither as found nor as missed, bool [M].
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    true_boxes: Tensor
    true_labels: Tensor
    ignored: Tensor


@dataclass
class Matched:
    """The detections of one class over all images.

    Args:
        scores: of the detections that count, [K].
        right: which of them are right, bool [K].
        count: true boxes.
    """

    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    count: int = 0


def match_class(image: ImageBoxes, label: int, min_iou: float, found: Matched, area: tuple[float, float]) -> None:
    """Add one image to the detections of a class.

    Args:
        image: the image.
        label: the class.
        min_iou: a detection is right above it.
        found: what earlier images gave, changed in place.
        area: smallest and largest area of true boxes that count; others are ignored, and so are detections of such
            areas that match nothing.
    """
    mine, true = image.labels == label, image.true_labels == label
    boxes, scores, truths = image.boxes[mine], image.scores[mine], image.true_boxes[true]
    outside = ~_within(truths, area) | image.ignored[true]
    found.count += int((~outside).sum())
    order = scores.argsort(descending=True, stable=True)
    iou = overlaps(boxes, truths, image.ignored[true])
    inside = _within(boxes, area)
    free = torch.ones(len(truths), dtype=torch.bool)
    for row in order.tolist():
        # a box that counts is taken before an ignored one
        overlap = torch.where(free & ~outside, iou[row], -1.0)
        best = int(overlap.argmax()) if len(truths) else -1
        if best >= 0 and overlap[best] >= min_iou:
            free[best] = False
            found.scores.append(float(scores[row]))
            found.right.append(True)
            continue
        # boxes of other sizes are taken once, crowds by any number of detections
        overlap = torch.where(outside & (free | image.ignored[true]), iou[row], -1.0)
        best = int(overlap.argmax()) if len(truths) else -1
        if best >= 0 and overlap[best] >= min_iou:
            free[best] = False
        elif inside[row]:
            found.scores.append(float(scores[row]))
            found.right.append(False)


def match_all(
    images: Sequence[ImageBoxes], num_classes: int, min_iou: float = 0.5, area: tuple[float, float] = (0, float("inf"))
) -> list[Matched]:
    """The detections of every class.

    Args:
        images: all images.
        num_classes: C.
        min_iou: a detection is right above it.
        area: smallest and largest area of true boxes that count, in pixels.
    """
    found = [Matched() for _ in range(num_classes)]
    for image in images:
        for label in torch.cat((image.labels, image.true_labels)).unique().tolist():
            match_class(image, int(label), min_iou, found[int(label)], area)
    return found


@dataclass(frozen=True)
class Curve:
    """Precision and recall when only detections above a score count.

    Args:
        scores: the scores, falling, [K].
        precision: [K].
        recall: [K].
    """

    scores: Tensor
    precision: Tensor
    recall: Tensor

    @property
    def f1(self) -> Tensor:
        """Harmonic mean of both, [K]."""
        return 2 * self.precision * self.recall / (self.precision + self.recall).clamp(min=1e-12)

    @property
    def average_precision(self) -> float:
        """Area under the precision at every recall, made monotone."""
        if not len(self.scores):
            return 0.0
        best = self.precision.flip(0).cummax(0).values.flip(0)
        steps = torch.diff(self.recall, prepend=torch.zeros(1))
        return float((best * steps).sum())


def curve_of(found: Matched) -> Curve:
    """Precision and recall over the score.

    Args:
        found: the detections of one class; without any true box recall is 0.
    """
    scores, right = torch.tensor(found.scores), torch.tensor(found.right, dtype=torch.float)
    order = scores.argsort(descending=True, stable=True)
    hits = right[order].cumsum(0)
    return Curve(scores[order], hits / torch.arange(1, len(hits) + 1), hits / max(found.count, 1))


def confusions(images: Sequence[ImageBoxes], num_classes: int, min_score: float, min_iou: float = 0.5) -> Tensor:
    """How often each true class (row) was detected as each class (column), counts [C+1,C+1].

    Boxes match by overlap whatever their class, the best overlap first; what is left on an ignored box does not count.
    The last row holds detections on nothing, the last column true boxes that nothing found.

    Args:
        images: all images.
        num_classes: C.
        min_score: detections below it are left out.
        min_iou: smallest overlap of a match.
    """
    counts = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.long)
    for image in images:
        sure = image.scores >= min_score
        boxes, labels = image.boxes[sure], image.labels[sure]
        known = ~image.ignored
        iou = overlaps(boxes, image.true_boxes, image.ignored).T
        free_true, free_boxes = known.clone(), torch.ones(len(boxes), dtype=torch.bool)
        pairs = (iou >= min_iou).nonzero()
        # boxes that count first: the overlap with a crowd is a share of the detection, 1 for whoever stands before it
        rank = iou[pairs[:, 0], pairs[:, 1]] - 2 * image.ignored[pairs[:, 0]]
        for row, column in pairs[rank.argsort(descending=True)].tolist():
            if free_true[row] and free_boxes[column]:
                free_true[row] = free_boxes[column] = False
                counts[image.true_labels[row], labels[column]] += 1
            elif image.ignored[row] and free_boxes[column]:
                free_boxes[column] = False
        for label in image.true_labels[free_true].tolist():
            counts[label, num_classes] += 1
        for label in labels[free_boxes].tolist():
            counts[num_classes, label] += 1
    return counts


def overlaps(boxes: Tensor, truths: Tensor, ignored: Tensor) -> Tensor:
    """IoU of detections and true boxes, and the share of the detection that is inside of ignored ones, [N,M].

    Args:
        boxes: detected xyxy, [N,4].
        truths: true xyxy, [M,4].
        ignored: which of them are ignored, bool [M].
    """
    if not len(boxes) or not len(truths):
        return boxes.new_zeros(len(boxes), len(truths))
    detected, true = (box_convert(one.double(), "xyxy", "xywh").numpy() for one in (boxes, truths))
    return torch.from_numpy(mask.iou(detected, true, ignored.int().tolist())).to(boxes)


def _within(boxes: Tensor, area: tuple[float, float]) -> Tensor:
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (areas >= area[0]) & (areas < area[1])
