"""Mean average precision against torchmetrics and values worked out by hand, also over unequal processes."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from mtl.features import FeatureSpec
from mtl.heads.detection.fcos import FCOSHead
from mtl.metrics.detection_map import DetectionMAP, DetectionMetrics
from mtl.targets.detection import ignored
from mtl.task import Task
from tests.conftest import RunRanks

TASK = Task("boxes", "detection", class_names=("cat", "dog", "owl"))
Image = tuple[Tensor, Tensor, Tensor, Tensor]  # detections with scores [N,5], labels [N], boxes [N,4], labels [N]


def random_image(num_true: int, num_extra: int) -> Image:
    """True boxes, each found with a shift and a score, some with the wrong class, and boxes that are not there."""
    corner, size = torch.rand(num_true, 2) * 60, torch.rand(num_true, 2) * 30 + 8
    boxes, truth = torch.cat((corner, corner + size), 1), torch.randint(3, (num_true,))
    noise = torch.rand(num_extra, 2) * 60
    found = torch.cat((boxes + torch.randn(num_true, 4) * 2, torch.cat((noise, noise + 15), 1)))
    labels = torch.cat((torch.where(torch.rand(num_true) < 0.8, truth, 0), torch.randint(3, (num_extra,))))
    return torch.cat((found, torch.rand(len(found), 1)), 1), labels, boxes, truth


def packed(images: list[Image], num_classes: int = 3) -> DetectionMAP:
    metric = DetectionMAP(num_classes)
    metric.update([], [], [], [])  # a batch without a labelled image
    for start in range(0, len(images), 3):
        detections, labels, boxes, truth = zip(*images[start : start + 3], strict=True)
        metric.update(list(detections), list(labels), list(boxes), list(truth))
    return metric


def reference(images: list[Image]) -> dict[str, Tensor]:
    metric = MeanAveragePrecision(
        backend="faster_coco_eval",
        class_metrics=True,
        iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
        rec_thresholds=np.linspace(0, 1, 101).tolist(),
    )
    metric.update(
        [{"boxes": found[:, :4], "scores": found[:, 4], "labels": labels} for found, labels, _, _ in images],
        [{"boxes": boxes, "labels": truth} for _, _, boxes, truth in images],
    )
    return metric.compute()  # type: ignore[no-any-return]


def perfect_image(labels: list[int]) -> Image:
    boxes = torch.tensor([[10.0 * i, 5.0, 10.0 * i + 8, 20.0] for i in range(len(labels))]).reshape(-1, 4)
    classes = torch.tensor(labels, dtype=torch.int64)
    return torch.cat((boxes, torch.ones(len(labels), 1)), 1), classes, boxes, classes


def test_values_are_those_of_torchmetrics() -> None:
    images = [random_image(i % 4, (i * 7) % 5) for i in range(17)]
    values, expected = packed(images).compute(), reference(images)
    assert 0 < values["map"] < 1
    for ours, theirs in {"map": "map", "map50": "map_50", "map75": "map_75", "recall100": "mar_100"}.items():
        torch.testing.assert_close(values[ours], expected[theirs])
    torch.testing.assert_close(values["per_class"], expected["map_per_class"])
    torch.testing.assert_close(values["per_class50"].nanmean(), expected["map_50"])


def test_perfect_detections_give_one() -> None:
    values = packed([perfect_image([0, 1, 2]), perfect_image([]), perfect_image([1])]).compute()
    assert values["map"] == values["map50"] == values["map75"] == values["recall100"] == 1


def test_a_known_precision_recall_curve_gives_its_area() -> None:
    """Ranked right, wrong, right for two true boxes: precision 1 to recall .5, then 2/3: 51 and 50 of 101 points."""
    found, _, boxes, truth = perfect_image([0, 0])
    wrong = torch.tensor([[40.0, 40.0, 50.0, 50.0, 0.8]])
    detections = torch.cat((found[:1], wrong, found[1:]))
    detections[:, 4] = torch.tensor([0.9, 0.8, 0.7])
    values = packed([(detections, torch.zeros(3, dtype=torch.int64), boxes, truth)]).compute()
    assert float(values["map50"]) == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-6)


def test_the_threshold_of_overlap_is_seen() -> None:
    """A box with IoU 0.72 counts at 0.50 to 0.70: 5 of the 10 thresholds."""
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    found = torch.tensor([[0.0, 0.0, 7.2, 10.0, 0.9]])
    zero = torch.tensor([0])
    values = packed([(found, zero, box, zero)]).compute()
    assert (float(values["map50"]), float(values["map75"])) == pytest.approx((1, 0))
    assert float(values["map"]) == pytest.approx(0.5)


def test_no_true_box_at_all_gives_no_value_and_never_minus_one() -> None:
    found, labels, _, _ = perfect_image([0, 1])
    assert packed([(found, labels, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))]).compute() == {}
    nobody = DetectionMAP(3)
    nobody.update([], [], [], [])
    assert nobody.compute() == {}


def test_a_class_without_true_box_is_nan_and_not_in_the_mean() -> None:
    values = packed([perfect_image([0, 0])]).compute()
    assert values["map"] == 1
    assert values["per_class"].isnan().tolist() == [False, True, True]


def test_a_false_alarm_of_a_class_without_true_box_leaves_it_nan() -> None:
    found, _, boxes, truth = perfect_image([0])
    both = torch.cat((found, found))
    values = packed([(both, torch.tensor([0, 2]), boxes, truth)]).compute()
    assert values["map"] == 1
    assert values["per_class"].isnan().tolist() == [False, True, True]


def test_no_detection_at_all_gives_zero() -> None:
    _, _, boxes, truth = perfect_image([0, 1])
    values = packed([(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), boxes, truth)]).compute()
    assert values["map"] == 0
    assert values["per_class"][:2].tolist() == [0, 0]


def batch_of(boxes: list[list[list[float]]], **more: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A padded batch with these boxes of class 1 and detections that equal them."""
    padded, labels = torch.zeros(len(boxes), 3, 4), torch.full((len(boxes), 3), -1)
    for row, here in enumerate(boxes):
        for column, box in enumerate(here):
            padded[row, column], labels[row, column] = torch.tensor(box), 1
    batch = {"boxes": padded, "box_labels": labels, **more}
    return {"boxes": padded.clone(), "labels": labels.clone(), "scores": torch.ones(len(boxes), 3)}, batch


def compute(predictions: dict[str, Tensor], batch: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
    metrics = DetectionMetrics(TASK)
    metrics.update(predictions, batch)
    return metrics.compute(**options)


def test_padding_is_no_detection_and_no_truth() -> None:
    values = compute(*batch_of([[[0, 0, 9, 9]], [], [[5, 5, 30, 30], [40, 40, 60, 60]]]), per_class=True)
    assert values["map"] == 1
    assert {name for name in values if "/" in name} == {"map/dog", "map50/dog"}


def test_an_image_that_is_not_labelled_counts_no_false_alarm() -> None:
    mask = torch.tensor([True, False])
    predictions, batch = batch_of([[[0, 0, 9, 9]], [[5, 5, 30, 30]]], **{"labelled/boxes": mask})
    predictions["scores"][1] = 2  # ranked first: as a false alarm it would halve the precision
    assert compute(predictions, batch)["map"] == 1
    batch["labelled/boxes"] = torch.tensor([False, False])
    assert compute(predictions, batch) == {}


def test_boxes_are_compared_in_pixels_of_the_original_file() -> None:
    scale = torch.tensor([[4.0, 4.0, 0.0, 0.0]])
    predictions, batch = batch_of([[[0, 0, 20, 20]]], to_original=scale)
    metrics = DetectionMetrics(TASK)
    metrics.update(predictions, batch)
    assert metrics.average_precision.truths[0].tolist() == [0, 0, 80, 80]
    assert metrics.average_precision.detections[0].tolist() == [0, 0, 80, 80, 1]
    assert metrics.compute()["map"] == 1


def test_reset_forgets() -> None:
    metrics = DetectionMetrics(TASK)
    metrics.update(*batch_of([[[0, 0, 9, 9]]]))
    metrics.reset()
    metrics.update(*batch_of([[], []]))
    assert metrics.compute() == {}


def on_rank(rank: int, images: list[Image], shares: list[int]) -> list[dict[str, Tensor]]:
    return [packed(images[:share] if rank == 0 else images[share:]).compute() for share in shares]


@pytest.mark.ddp
def test_uneven_and_empty_ranks_equal_one_process(run_ranks: RunRanks) -> None:
    images = [random_image(1 + i % 3, i % 4) for i in range(9)]
    whole = packed(images).compute()
    # rank 0 holds 4 of 9 images, then none, then all of them
    for result in run_ranks(on_rank, images, [4, 0, 9]):
        for values in result:
            for name, value in whole.items():
                torch.testing.assert_close(values[name], value, equal_nan=True)


def dealt(rank: int, images: list[Image], lost: int) -> dict[str, Tensor]:
    """The value on one of two ranks; nobody labelled one image."""
    metrics = DetectionMetrics(TASK)
    for place in range(rank, len(images), 2):
        detections, labels, boxes, truth = images[place]
        predictions = {"boxes": detections[None, :, :4], "scores": detections[None, :, 4], "labels": labels[None]}
        batch = {"boxes": boxes[None], "box_labels": truth[None], "labelled/boxes": torch.tensor([place != lost])}
        metrics.update(predictions, batch)
    return metrics.compute()


@pytest.mark.ddp
def test_equal_scores_on_ranks_count_in_the_order_of_one_process(run_ranks: RunRanks) -> None:
    """Scores of a network in bfloat16 are often equal, and the precision then depends on which image comes first."""
    torch.manual_seed(3)
    images = [random_image(1 + i % 3, i % 4) for i in range(15)]
    for detections, *_ in images:
        detections[:, 4] = (4 * detections[:, 4]).ceil() / 4
    lost = 2
    whole = packed(images[:lost] + images[lost + 1 :]).compute()
    for values in run_ranks(dealt, images, lost):
        assert values["map"] == whole["map"]


def coco(images: list[Image], num_classes: int = 3, crowds: list[Tensor] | None = None, limit: int = 100) -> float:
    """The mAP of COCO's own interface, with its own thresholds, without torchmetrics."""
    truth, found, number = [], [], 0
    for index, (detections, labels, boxes, classes) in enumerate(images):
        for row, (box, cls) in enumerate(zip(boxes.double(), classes, strict=True)):
            x, y, right, bottom = box.tolist()
            number += 1
            crowd = 0 if crowds is None else int(crowds[index][row])
            size = [x, y, right - x, bottom - y]
            truth.append({"id": number, "image_id": index, "category_id": int(cls), "bbox": size, "iscrowd": crowd})
            truth[-1]["area"] = size[2] * size[3]
        for box, cls in zip(detections.double(), labels, strict=True):
            x, y, right, bottom, score = box.tolist()
            size = [x, y, right - x, bottom - y]
            found.append({"image_id": index, "category_id": int(cls), "bbox": size, "score": score})
    with redirect_stdout(StringIO()):
        data = COCO()
        data.dataset = {
            "images": [{"id": index} for index in range(len(images))],
            "annotations": truth,
            "categories": [{"id": index} for index in range(num_classes)],
        }
        data.createIndex()
        evaluation = COCOeval_faster(data, data.loadRes(found), "bbox")
        evaluation.params.maxDets = [min(1, limit), min(10, limit), limit]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    return float(precision[precision > -1].mean())


def test_thresholds_are_those_of_coco() -> None:
    for seed in range(12):
        torch.manual_seed(seed)
        images = [random_image(i % 5 + seed % 3, (i * 7) % 6) for i in range(12)]
        # 6 of 20 found is a recall of 0.3, which float32 puts on the other side of the threshold
        part = perfect_image([0] * 20)
        images.append((part[0][:6], part[1][:6], part[2], part[3]))
        assert float(packed(images).compute()["map"]) == pytest.approx(coco(images), abs=1e-6)


def test_a_detection_on_an_ignored_box_is_neither_right_nor_wrong() -> None:
    real, crowd = torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.tensor([[30.0, 30.0, 60.0, 60.0]])
    found = torch.tensor([[30, 30, 60, 60, 0.9], [31, 31, 50, 50, 0.8], [0, 0, 20, 20, 0.5]])
    boxes, classes = torch.cat((real, crowd)), torch.tensor([1, 1])
    metric = DetectionMAP(3)
    metric.update([found], [torch.tensor([1, 1, 1])], [boxes], [classes], [torch.tensor([False, True])])
    assert metric.compute()["map"] == 1
    plain = DetectionMAP(3)
    plain.update([found], [torch.tensor([1, 1, 1])], [real], [classes[:1]])
    assert plain.compute()["map"] == pytest.approx(1 / 3, abs=1e-3)  # it comes third
    image = (found, torch.tensor([1, 1, 1]), boxes, classes)
    assert coco([image], crowds=[torch.tensor([0, 1])]) == 1


def test_ignored_boxes_of_a_batch_reach_the_metric() -> None:
    predictions, batch = batch_of([[[0, 0, 9, 9], [20, 20, 40, 40]]])
    batch["box_labels"][0, 1] = ignored(batch["box_labels"][0, 1])
    assert compute(predictions, batch)["map"] == 1
    predictions["labels"][0, 1] = -1  # not found: no miss
    assert compute(predictions, batch)["map"] == 1
    batch["box_labels"][0, 0] = ignored(batch["box_labels"][0, 0])
    assert compute(predictions, batch) == {}


@pytest.mark.parametrize("limit", [1, 5, 100, 300])
def test_as_many_detections_count_as_the_head_returns(limit: int) -> None:
    side = torch.arange(250.0)[:, None] * 10
    boxes = torch.cat((side, side, side + 8, side + 8), 1)
    found, classes = torch.cat((boxes, torch.linspace(0.9, 0.1, 250)[:, None]), 1), torch.zeros(250, dtype=torch.int64)
    metric = DetectionMAP(1, limit)
    metric.update([found], [classes], [boxes], [classes])
    values = metric.compute()
    assert values[f"recall{limit}"] == pytest.approx(min(limit, 250) / 250)
    assert float(values["map"]) == pytest.approx(coco([(found, classes, boxes, classes)], 1, limit=limit), abs=1e-6)
    assert (float(values["map"]) == 1) == (limit == 300)


def test_the_metric_follows_its_head() -> None:
    head = FCOSHead(TASK, FeatureSpec({"p3": 8}, {"p3": 8}), max_detections=300)
    assert head.metrics().average_precision.max_detections == 300
    few = FCOSHead(TASK, FeatureSpec({"p3": 8}, {"p3": 8}), max_detections=20)
    assert few.metrics().average_precision.max_detections == 100  # no more come, so the name of the recall is COCO's
