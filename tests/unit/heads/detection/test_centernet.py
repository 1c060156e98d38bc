"""CenterNet head: radius by brute force, heat map and focal loss by hand, perfect outputs decode to the true boxes."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from mtl.batch import Batch
from mtl.features import FeatureSpec
from mtl.heads.detection.centernet import CenterNetHead, _focal, gaussian_radius
from mtl.heads.head import Outputs
from mtl.targets.detection import PADDING_LABEL
from mtl.task import Task

TASK = Task("boxes", "detection", 3)
SPEC = FeatureSpec({"c4": 16, "p2": 8}, {"c4": 16, "p2": 4})
# two images of 64 x 64 px: three boxes far apart, and one
BOXES = [[[4.0, 6.0, 20.0, 22.0], [40.0, 8.0, 60.0, 24.0], [10.0, 40.0, 30.0, 62.0]], [[20.0, 20.0, 44.0, 50.0]]]
LABELS = [[0, 2, 1], [2]]


def head(**settings: Any) -> CenterNetHead:
    return CenterNetHead(TASK, SPEC, **settings)


def batch(boxes: list[list[list[float]]] = BOXES, labels: list[list[int]] = LABELS) -> Batch:
    padded, classes = torch.zeros(len(boxes), 8, 4), torch.full((len(boxes), 8), -1)
    for row, (here, known) in enumerate(zip(boxes, labels, strict=True)):
        if here:
            padded[row, : len(here)], classes[row, : len(here)] = torch.tensor(here), torch.tensor(known)
    return {"boxes": padded, "box_labels": classes, "labelled/boxes": torch.ones(len(boxes), dtype=torch.bool)}


def perfect_outputs(truth: Batch, side: int = 16) -> Outputs:
    """Certain peaks at the centre cells; every cell gives exactly the box whose centre is nearest."""
    images = len(truth["boxes"])
    heat, sides = torch.full((images, 3, side, side), -15.0), torch.ones(images, 4, side, side)
    cells = (torch.arange(side) + 0.5) * 4
    x, y = cells[None, :].expand(side, side), cells[:, None].expand(side, side)
    for row in range(images):
        real = truth["box_labels"][row] >= 0
        boxes, labels = truth["boxes"][row][real], truth["box_labels"][row][real]
        if not len(boxes):
            continue
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        for center, label in zip(centers, labels, strict=True):
            heat[row, label, int(center[1] // 4), int(center[0] // 4)] = 15.0
        nearest = torch.stack([(x - cx) ** 2 + (y - cy) ** 2 for cx, cy in centers]).argmin(0)
        own = boxes[nearest]
        sides[row] = torch.stack((x - own[..., 0], y - own[..., 1], own[..., 2] - x, own[..., 3] - y))
    return {"heat": heat, "sides": sides}


@pytest.mark.parametrize(("height", "width"), [(5, 3), (10, 10), (20, 2), (1, 7)])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.7, 0.9])
def test_radius_is_the_largest_shift_of_corners_that_keeps_the_overlap(height: int, width: int, keep: float) -> None:
    radius = float(gaussian_radius(torch.tensor(float(height)), torch.tensor(float(width)), keep))

    def worst(shift: float) -> float:
        moves = torch.tensor(list(itertools.product((-1, -0.5, 0, 0.5, 1), repeat=4)), dtype=torch.float64) * shift
        box = torch.tensor([[0, 0, width, height]], dtype=torch.float64)
        return float(box_iou(box, box + moves).min())

    assert worst(radius * 0.999) > keep
    assert worst(radius * 1.001) < keep


def test_heat_is_one_at_the_centre_cell_and_a_gaussian_around_it() -> None:
    truth, net = batch([[[20.0, 24.0, 40.0, 44.0]]], [[1]]), head()
    # centre (30, 34) px lies in cell (7, 8); the box is 5 x 5 cells
    x, y = net._center_cells(truth["boxes"], 16, 16)
    assert (int(x[0, 0]), int(y[0, 0])) == (7, 8)
    real = truth["box_labels"] >= 0
    labels = truth["box_labels"].clamp(min=0)
    target = net._heat_target(truth["boxes"], labels, real, x, y, torch.Size((1, 3, 16, 16)))
    # both corners moved in by r: (5 - 2r)^2 / 25 = 0.7
    sigma = (2 * (5 - 5 * math.sqrt(0.7)) / 2 + 1) / 6
    assert target[0, 1, 8, 7] == 1
    assert float(target[0, 1, 8, 8]) == pytest.approx(math.exp(-1 / (2 * sigma**2)), rel=1e-4)
    assert float(target[0, 1, 7, 6]) == pytest.approx(math.exp(-2 / (2 * sigma**2)), rel=1e-4)
    assert target[0, [0, 2]].sum() == 0
    assert int((target == 1).sum()) == 1


def test_where_two_objects_of_a_class_overlap_the_larger_heat_stays() -> None:
    net = head()

    def heat(boxes: list[list[float]]) -> Tensor:
        truth = batch([boxes], [[0] * len(boxes)])
        x, y = net._center_cells(truth["boxes"], 16, 16)
        real = truth["box_labels"] >= 0
        return net._heat_target(
            truth["boxes"], truth["box_labels"].clamp(min=0), real, x, y, torch.Size((1, 3, 16, 16))
        )

    one, other = [8.0, 8.0, 40.0, 40.0], [16.0, 12.0, 48.0, 44.0]
    assert torch.equal(heat([one, other]), torch.maximum(heat([one]), heat([other])))


def test_focal_loss_equals_its_formula() -> None:
    p, target = 0.3, 0.6
    logit = torch.tensor(math.log(p / (1 - p)))
    assert float(_focal(logit, torch.tensor(1.0))) == pytest.approx(-((1 - p) ** 2) * math.log(p))
    expected = -((1 - target) ** 4) * p**2 * math.log(1 - p)
    assert float(_focal(logit, torch.tensor(target))) == pytest.approx(expected)


def test_focal_loss_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    loss = _focal(logits, torch.tensor([1.0, 0.0])).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_perfect_outputs_decode_to_the_true_boxes() -> None:
    truth = batch()
    found = head(max_detections=5).decode(perfect_outputs(truth))
    for row, (boxes, labels) in enumerate(zip(BOXES, LABELS, strict=True)):
        certain = found["scores"][row] > 0.5
        assert int(certain.sum()) == len(boxes)
        order = box_iou(torch.tensor(boxes), found["boxes"][row][certain]).argmax(1)
        torch.testing.assert_close(found["boxes"][row][certain][order], torch.tensor(boxes))
        assert found["labels"][row][certain][order].tolist() == labels


def test_perfect_outputs_cost_almost_nothing_and_a_wrong_class_or_box_costs() -> None:
    net, truth = head(), batch()
    good = perfect_outputs(truth)
    assert float(net.loss(good, truth)) < 1e-3
    shifted = {"heat": good["heat"], "sides": good["sides"] + 4}
    swapped = {"heat": good["heat"].roll(1, 1), "sides": good["sides"]}
    assert float(net.loss(shifted, truth)) > 0.1
    assert float(net.loss(swapped, truth)) > 1


def test_detections_are_sorted_within_the_image_and_limited() -> None:
    outputs = {"heat": torch.randn(2, 3, 16, 16), "sides": torch.rand(2, 4, 16, 16) * 100}
    found = head(max_detections=7).decode(outputs)
    assert found["boxes"].shape == (2, 7, 4)
    assert (found["scores"].diff(dim=1) <= 0).all()
    assert found["boxes"].min() >= 0
    assert found["boxes"].max() <= 64


def test_decoding_a_map_with_fewer_cells_than_detections() -> None:
    outputs = {"heat": torch.randn(1, 3, 2, 2), "sides": torch.rand(1, 4, 2, 2)}
    assert head(max_detections=100).decode(outputs)["scores"].shape == (1, 12)


def test_an_image_that_is_not_labelled_adds_nothing() -> None:
    net, truth = head(), batch()
    outputs = {"heat": torch.randn(2, 3, 16, 16), "sides": torch.rand(2, 4, 16, 16) * 20}
    alone = net.loss({key: value[:1] for key, value in outputs.items()}, batch(BOXES[:1], LABELS[:1]))
    truth["labelled/boxes"] = torch.tensor([True, False])
    torch.testing.assert_close(net.loss(outputs, truth), alone)


def test_an_image_without_objects_is_trained_as_background() -> None:
    net, empty = head(), batch([[]], [[]])
    outputs = {"heat": torch.zeros(1, 3, 16, 16), "sides": torch.ones(1, 4, 16, 16)}
    # every cell: 0.5^2 * log 2, and the normaliser is 1
    assert float(net.loss(outputs, empty)) == pytest.approx(3 * 256 * 0.25 * math.log(2), rel=1e-5)


def test_a_batch_without_labels_gives_an_exact_zero_with_gradients() -> None:
    net, truth = head(), batch()
    truth["labelled/boxes"][:] = False
    loss = net.loss(net({"c4": torch.randn(2, 16, 4, 4), "p2": torch.randn(2, 8, 16, 16)}), truth)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_the_loss_stays_in_float32_under_autocast() -> None:
    net, features = head(), {"c4": torch.randn(2, 16, 4, 4), "p2": torch.randn(2, 8, 16, 16)}
    with torch.autocast("cpu", torch.bfloat16):
        outputs = net(features)
        loss = net.loss(outputs, batch())
    assert {output.dtype for output in outputs.values()} == {torch.float32}
    assert loss.dtype == torch.float32


def test_a_fresh_head_expects_one_object_in_a_hundred_cells() -> None:
    net = head().eval()
    heat = net({"c4": torch.zeros(1, 16, 4, 4), "p2": torch.zeros(1, 8, 16, 16)})["heat"].sigmoid()
    assert heat.mean().item() == pytest.approx(0.01, rel=0.05)


def test_reads_the_level_it_is_told() -> None:
    net = head(level="c4")
    assert net.stride == 16
    assert net({"c4": torch.zeros(1, 16, 4, 4)})["heat"].shape == (1, 3, 4, 4)
    with pytest.raises(ValueError, match="asks for level 'p3'"):
        head(level="p3")


def test_cells_that_are_no_peak_are_padding() -> None:
    """Fewer peaks than boxes: the rest is no detection, whatever the size of the map."""
    outputs = perfect_outputs(batch())
    outputs["heat"] += torch.rand(outputs["heat"].shape)  # no plateaus, whose cells are all as high as their neighbours
    found = head(max_detections=300).eval().decode(outputs)
    for row, (boxes, labels) in enumerate(zip(BOXES, LABELS, strict=True)):
        sure = found["scores"][row] > 0.5
        assert int(sure.sum()) == len(boxes)
        assert sorted(found["labels"][row][sure].tolist()) == sorted(labels)
    nothing = found["scores"] == 0
    assert bool(nothing.any())
    assert bool((found["labels"][nothing] == PADDING_LABEL).all())
    assert bool((found["labels"][~nothing] >= 0).all())
