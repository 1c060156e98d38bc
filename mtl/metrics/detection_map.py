"""COCO mean average precision over packed CPU states.

torchmetrics' own metric keeps a Python list per image and gathers it image by image, which is slow and fails on ranks
with unequal numbers of images; here every state is one flat tensor, gathered once. The counting itself is
faster-coco-eval's, through torchmetrics.
Shapes: B images, M padded true boxes, D padded detections, N boxes of one image.
"""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.detection import MeanAveragePrecision
from torchmetrics.utilities.distributed import gather_all_tensors

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.targets.detection import PADDING_LABEL, ignored
from mtl.targets.overlay import boxes_to_original
from mtl.targets.picture_edges import boxes_inside
from mtl.task import Task

_OF_DETECTIONS = ("detections", "detection_labels", "detection_counts")
_OF_TRUTHS = ("truths", "truth_labels", "truth_counts", "crowds")
_OF_IMAGES = ("places",)
_VALUES = {"map": "map", "map50": "map_50", "map75": "map_75"}
# COCO's, in float64: torchmetrics' own are float32, and a recall or an IoU that equals one falls on the other side
_IOUS, _RECALLS = np.linspace(0.5, 0.95, 10).tolist(), np.linspace(0, 1, 101).tolist()


class DetectionMAP(Metric):
    """Mean average precision; equal on all ranks and equal to a single process's, also with empty ranks.

    Of detections with equal scores, as 16 bits make many, the earlier image counts first. So the images of all ranks,
    which were dealt in turn, are sorted into the order of one process.

    Args:
        num_classes: number of classes C.
        max_detections: most detections of an image that count; COCO takes 100.

    Raises:
        ValueError: if no detection may count.
    """

    full_state_update = False
    detections: Tensor
    detection_labels: Tensor
    detection_counts: Tensor
    truths: Tensor
    truth_labels: Tensor
    truth_counts: Tensor
    crowds: Tensor
    places: Tensor | list[Tensor]

    def __init__(self, num_classes: int, max_detections: int = 100) -> None:
        if max_detections < 1:
            raise ValueError(f"max_detections={max_detections} must be at least 1; COCO takes 100.")
        super().__init__(dist_sync_fn=_gather)
        self.num_classes = num_classes
        self.max_detections = max_detections
        # 1-D float32 states only: an empty rank joins torchmetrics' gather with a 1-D float32 placeholder, and ranks
        # that disagree on rank or type abort there
        for name in (*_OF_DETECTIONS, *_OF_TRUTHS, *_OF_IMAGES):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.compute_on_cpu = True

    def update(
        self,
        detections: list[Tensor],
        labels: list[Tensor],
        boxes: list[Tensor],
        truths: list[Tensor],
        crowds: list[Tensor] | None = None,
        places: list[int] | None = None,
    ) -> None:
        """Take in the detections and true boxes of some images.

        Args:
            detections: xyxy px and score of every detection, [N,5] for each image.
            labels: their classes, [N] for each image.
            boxes: true xyxy px, [N,4] for each image.
            truths: their classes, [N] for each image.
            crowds: which of them are ignored, as COCO's crowds: a detection on one is neither right nor wrong, and one
                that is not found is no miss; bool [N] for each image, none by default.
            places: how many images this rank saw before each image, also unlabelled ones; by default how many were
                taken in.
        """
        if not detections:
            return
        for name, values in (
            ("detections", detections),
            ("detection_labels", labels),
            ("truths", boxes),
            ("truth_labels", truths),
            ("crowds", crowds or [torch.zeros(len(truth)) for truth in truths]),
        ):
            getattr(self, name).append(torch.cat(values).flatten().float().cpu())
        before = sum(len(counts) for counts in self.truth_counts)
        places = places or list(range(before, before + len(truths)))
        assert isinstance(self.places, list)
        self.places.append(torch.tensor(places, dtype=torch.float32))
        for name, values in (("detection_counts", labels), ("truth_counts", truths)):
            getattr(self, name).append(torch.tensor([float(len(value)) for value in values]))

    def compute(self) -> dict[str, Tensor]:
        """`map`, `map50`, `map75`, `recall100`, and of each class `per_class` and `per_class50` (at IoU 0.5), [C].

        With another `max_detections`, say 300, the recall is `recall300`.

        A class without a true box has NaN.

        Returns:
            An empty dict if there is no true box at all: the mean over no class is not a number.
        """
        truth_labels = _cat(self.truth_labels).long()
        if not len(truth_labels) or bool(_cat(self.crowds).all()):
            return {}
        metric = MeanAveragePrecision(
            backend="faster_coco_eval",
            extended_summary=True,  # the precision of each class, cheaper than `class_metrics`
            # three are required, and only the last one is used
            max_detection_thresholds=[min(1, self.max_detections), min(10, self.max_detections), self.max_detections],
            iou_thresholds=_IOUS,
            rec_thresholds=_RECALLS,
            sync_on_compute=False,
        )
        metric.warn_on_many_detections = False
        predictions, targets = list(self._predictions()), list(self._targets())
        # states lie rank after rank; stable: at equal places the image of the first rank comes first
        order = _cat(self.places).argsort(stable=True).tolist()
        metric.update([predictions[image] for image in order], [targets[image] for image in order])
        with redirect_stdout(StringIO()):
            result = metric.compute()
        values = {name: result[key].float() for name, key in _VALUES.items() if key in result}
        values[f"recall{self.max_detections}"] = result[f"mar_{self.max_detections}"].float()
        # thresholds x recalls x classes, all sizes, most detections; -1 where a class has no true box
        precision_TRK = torch.as_tensor(result["precision"])[..., 0, -1].float()
        precision_TRK = torch.where(precision_TRK < 0, torch.nan, precision_TRK)
        seen = result["classes"].reshape(-1).long()
        for name, values_K in (("per_class", precision_TRK.mean((0, 1))), ("per_class50", precision_TRK[0].mean(0))):
            values[name] = torch.full((self.num_classes,), torch.nan)
            values[name][seen] = values_K
        return values

    def _predictions(self) -> Iterator[dict[str, Tensor]]:
        counts = _cat(self.detection_counts).long().tolist()
        rows = _cat(self.detections).reshape(-1, 5).split(counts)
        for row, labels in zip(rows, _cat(self.detection_labels).long().split(counts), strict=True):
            yield {"boxes": row[:, :4], "scores": row[:, 4], "labels": labels}

    def _targets(self) -> Iterator[dict[str, Tensor]]:
        counts = _cat(self.truth_counts).long().tolist()
        rows = _cat(self.truths).reshape(-1, 4).split(counts)
        labels = _cat(self.truth_labels).long().split(counts)
        for row, classes, crowd in zip(rows, labels, _cat(self.crowds).long().split(counts), strict=True):
            yield {"boxes": row, "labels": classes, "iscrowd": crowd}


class DetectionMetrics(TaskMetrics):
    """`map`, `map50`, `map75`, `recall100`, on request `map/<class>` and `map50/<class>`; in pixels of the files.

    Detections are cut at the edge of the picture, as `predict` cuts them.

    Args:
        task: a task of kind `detection`.
        max_detections: most boxes that the head returns for an image; all of them count, where they are more than 100.
    """

    def __init__(self, task: Task, max_detections: int = 100) -> None:
        super().__init__(task)
        self.average_precision = DetectionMAP(task.num_classes, max(100, max_detections))
        self.seen = 0  # images of this rank, also unlabelled ones

    def update(self, predictions: Predictions, batch: Batch) -> None:
        predictions = boxes_inside(predictions, batch)
        found, truth = predictions["boxes"], batch[self.task.name]
        if "to_original" in batch:
            found = boxes_to_original(found, batch["to_original"])
            truth = boxes_to_original(truth, batch["to_original"])
        found = torch.cat((found, predictions["scores"][..., None]), -1).float().cpu()
        labels, kept = predictions["labels"].cpu(), (predictions["labels"] >= 0).cpu()
        truth, truth_labels = truth.float().cpu(), batch[self.task.labels_field].cpu()
        crowds = truth_labels < PADDING_LABEL
        truth_labels = torch.where(crowds, ignored(truth_labels), truth_labels)
        real = truth_labels != PADDING_LABEL
        rows = labelled(batch, self.task).cpu().nonzero().flatten().tolist()
        self.average_precision.update(
            [found[i][kept[i]] for i in rows],
            [labels[i][kept[i]] for i in rows],
            [truth[i][real[i]] for i in rows],
            [truth_labels[i][real[i]] for i in rows],
            [crowds[i][real[i]] for i in rows],
            [self.seen + i for i in rows],
        )
        self.seen += len(labels)

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        values = self.average_precision.compute()
        for name, key in (("map", "per_class"), ("map50", "per_class50")):
            # torchmetrics squeezes the one number of a single class
            for index, value in enumerate(values.pop(key, torch.tensor([])).reshape(-1)):
                if per_class and torch.isfinite(value):
                    values[f"{name}/{self.task.class_name(index)}"] = value
        return values

    def reset(self) -> None:
        self.average_precision.reset()
        self.seen = 0


def _gather(tensor: Tensor, group: Any = None) -> list[Tensor]:
    # NCCL sends what lies on a GPU only
    sent = tensor.cuda() if dist.get_backend(group) == "nccl" else tensor
    return [part.cpu() for part in gather_all_tensors(sent, group)]


def _cat(state: Tensor | list[Tensor]) -> Tensor:
    # one tensor after a sync, a list before it
    return state if isinstance(state, Tensor) else torch.cat([torch.zeros(0), *state])
