"""Matching of detections: against COCO's own counting, by hand, and at the edges."""

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from mtl.metrics.detection_map import DetectionMAP
from mtl.metrics.detection_matching import SIZES, ImageBoxes, confusions, curve_of, match_all

RECALLS = np.linspace(0, 1, 1001).tolist()
NONE = torch.zeros(0, 4)


def image(
    detected: list[tuple[list[float], float, int]], true: list[tuple[list[float], int]], ignored: tuple[int, ...] = ()
) -> ImageBoxes:
    aside = torch.zeros(len(true), dtype=torch.bool)
    aside[list(ignored)] = True
    return ImageBoxes(
        torch.tensor([box for box, _, _ in detected]).reshape(-1, 4),
        torch.tensor([score for _, score, _ in detected]),
        torch.tensor([label for *_, label in detected], dtype=torch.long),
        torch.tensor([box for box, _ in true]).reshape(-1, 4),
        torch.tensor([label for _, label in true], dtype=torch.long),
        aside,
    )


def random_images(seed: int, count: int = 40, classes: int = 3) -> list[ImageBoxes]:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        true, detected = [], []
        for _ in range(rng.integers(0, 6)):
            x, y, w, h = rng.uniform(0, 200), rng.uniform(0, 200), rng.uniform(5, 150), rng.uniform(5, 150)
            label = int(rng.integers(classes))
            true.append(([x, y, x + w, y + h], label))
            if rng.uniform() < 0.8:
                shift = rng.normal(0, 0.12, 4) * [w, h, w, h]
                box = np.array([x, y, x + w, y + h]) + shift
                seen = label if rng.uniform() < 0.8 else int(rng.integers(classes))
                detected.append(([*box[:2], *np.maximum(box[2:], box[:2] + 1)], float(rng.uniform()), seen))
        for _ in range(rng.integers(0, 3)):
            x, y = rng.uniform(0, 200, 2)
            detected.append(([x, y, x + 30, y + 30], float(rng.uniform()), int(rng.integers(classes))))
        crowds = tuple(i for i in range(len(true)) if rng.uniform() < 0.1)
        images.append(image(detected, true, crowds))
    return images


@pytest.mark.parametrize("seed", [0, 1])
def test_average_precision_is_that_of_coco_up_to_its_sampling(seed: int) -> None:
    images = random_images(seed)
    metric = DetectionMAP(3)
    for one in images:
        metric.update(
            [torch.cat((one.boxes, one.scores[:, None]), 1).float()], [one.labels], [one.true_boxes.float()],
            [one.true_labels], [one.ignored],
        )  # fmt: skip
    wanted = metric.compute()["map50"]
    found = [curve_of(of).average_precision for of in match_all(images, 3)]
    assert float(np.mean(found)) == pytest.approx(float(wanted), abs=0.01)


@pytest.mark.parametrize("size", SIZES)
def test_average_precision_by_size_is_that_of_coco(size: str) -> None:
    metric = MeanAveragePrecision(backend="faster_coco_eval", iou_thresholds=[0.5], rec_thresholds=RECALLS)
    images = []
    for one in random_images(2, 80):
        # every box is found twice, so that one of them is left over
        boxes, scores = torch.cat((one.boxes, one.boxes + 1)), torch.cat((one.scores, one.scores * 0.9))
        images.append(ImageBoxes(boxes, scores, one.labels.repeat(2), one.true_boxes, one.true_labels, one.ignored))
        metric.update(
            [{"boxes": boxes, "scores": scores, "labels": one.labels.repeat(2)}],
            [{"boxes": one.true_boxes, "labels": one.true_labels, "iscrowd": one.ignored.long()}],
        )
    found = [curve_of(of).average_precision for of in match_all(images, 3, area=SIZES[size])]
    assert float(np.mean(found)) == pytest.approx(float(metric.compute()[f"map_{size}"]), abs=0.01)


def test_any_number_of_detections_in_a_crowd_count_for_nothing() -> None:
    crowd = [0.0, 0, 100, 100]
    one = image([([0.0, 0, 10, 10], 0.9, 0), ([50.0, 50, 70, 70], 0.8, 0)], [(crowd, 0)], ignored=(0,))
    assert match_all([one], 1)[0].scores == []
    assert confusions([one], 1, 0.3).sum() == 0


def test_a_thing_before_a_crowd_is_found_though_it_lies_in_the_crowd_entirely() -> None:
    # its overlap with the crowd is 1, and with its own box less
    one = image([([10.0, 10, 30, 30], 0.9, 0)], [([0.0, 0, 100, 100], 0), ([10.0, 10, 30, 31], 0)], ignored=(0,))
    assert match_all([one], 1)[0].right == [True]
    assert confusions([one], 1, 0.3).tolist() == [[1, 0], [0, 0]]


def test_precision_and_recall_by_hand() -> None:
    box, far = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    # the better score takes the true box; the second one on it is wrong; one true box is missed
    one = image([(box, 0.9, 0), (box, 0.8, 0), (far, 0.7, 0)], [(box, 0), ([100.0, 100, 110, 110], 0)])
    curve = curve_of(match_all([one], 1)[0])
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert curve.recall.tolist() == [0.5, 0.5, 0.5]
    assert curve.f1.tolist() == pytest.approx([2 / 3, 1 / 2, 0.4])
    assert curve.average_precision == pytest.approx(0.5)


def test_detections_on_ignored_boxes_and_of_other_sizes_count_for_nothing() -> None:
    small, large = [0.0, 0, 20, 20], [100.0, 100, 300, 300]
    one = image([(small, 0.9, 0), (large, 0.8, 0)], [(small, 0), (large, 0)], ignored=(1,))
    (found,) = match_all([one], 1)
    assert (found.count, found.right) == (1, [True])
    one = image([(small, 0.9, 0), (large, 0.8, 0)], [(small, 0), (large, 0)])
    for size, count in (("small", 1), ("medium", 0), ("large", 1)):
        (found,) = match_all([one], 1, area=SIZES[size])
        assert (found.count, len(found.right)) == (count, count), size


def test_confusions_by_hand_and_every_box_is_counted_once() -> None:
    a, b, c = [0.0, 0, 10, 10], [20.0, 20, 30, 30], [40.0, 40, 50, 50]
    one = image([(a, 0.9, 1), (b, 0.9, 1), (c, 0.9, 0), (b, 0.1, 0)], [(a, 0), (b, 1), ([70.0, 70, 80, 80], 1)])
    assert confusions([one], 2, 0.3).tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    images = random_images(3)
    counts = confusions(images, 3, 0.0)
    assert counts[:3].sum() == sum(int((~one.ignored).sum()) for one in images)
    assert counts[:, :3].sum() <= sum(len(one.labels) for one in images)


def test_nothing_detected_and_nothing_there() -> None:
    empty = image([], [])
    assert confusions([empty], 2, 0.3).sum() == 0
    assert curve_of(match_all([empty], 1)[0]).average_precision == 0
    missed = image([], [([0.0, 0, 1, 1], 0)])
    assert confusions([missed], 2, 0.3)[0, 2] == 1
    assert match_all([missed], 2)[0].count == 1
