"""Metrics cut predictions where `predict` cuts them: at the edge of the picture, on canvases that no stride divides."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.data.resize import FitMode, boxes_from_original, fit_geometry
from mtl.features import FeatureSpec
from mtl.heads.dense.depth import DepthHead
from mtl.heads.dense.edges import EdgesHead
from mtl.heads.dense.normals import NormalsHead
from mtl.heads.dense.segmentation import SegmentationHead
from mtl.metrics.detection_map import DetectionMetrics
from mtl.metrics.keypoints import KeypointMetrics
from mtl.metrics.totals import at_size
from mtl.targets.detection import Detection
from mtl.targets.keypoints import Keypoints
from mtl.targets.overlay import Boxes, Points
from mtl.targets.picture_edges import picture_edges
from mtl.task import Task

BOXES = Task("boxes", "detection", class_names=("cat",))
POINTS = Task("points", "keypoints", class_names=("nose", "tail"))


def on_canvas(
    canvas: tuple[int, int], original: tuple[int, int] | None, fit: FitMode = "letterbox"
) -> dict[str, Tensor]:
    batch = {"image": torch.zeros(1, 3, *canvas)}
    if original:
        to_original = fit_geometry(original, canvas, fit)[2]
        batch |= {"orig_size": torch.tensor([original]), "to_original": to_original[None]}
    return batch


@pytest.mark.parametrize(
    ("canvas", "original", "fit", "expected"),
    [
        ((33, 45), None, "letterbox", [0, 0, 45, 33]),
        ((32, 32), (16, 32), "letterbox", [0, 8, 32, 24]),
        ((33, 45), (66, 90), "stretch", [0, 0, 45, 33]),
    ],
)
def test_the_picture_is_the_canvas_without_bars(
    canvas: tuple[int, int], original: tuple[int, int] | None, fit: FitMode, expected: list[float]
) -> None:
    edges = picture_edges(on_canvas(canvas, original, fit))
    assert edges is not None
    torch.testing.assert_close(edges, torch.tensor([expected], dtype=torch.float32))


def test_a_batch_that_does_not_say_its_size_has_no_edge() -> None:
    assert picture_edges({"boxes": torch.zeros(1, 1, 4), "image": torch.zeros(1, 8)}) is None


@pytest.mark.parametrize("original", [None, (20, 45)])
def test_a_box_over_the_edge_is_cut_before_it_is_measured(original: tuple[int, int] | None) -> None:
    batch = on_canvas((33, 45), original)
    edges = picture_edges(batch)
    assert edges is not None
    truth = torch.cat((edges[:, 2:] - torch.tensor([[10.0, 10.0]]), edges[:, 2:]), -1)[:, None]
    # the last cells of stride 8 end 7 px further; a second box lies behind the edge altogether
    found = torch.cat((truth + torch.tensor([0.0, 0, 7, 7]), truth + 12), 1)
    batch |= {"boxes": truth, "box_labels": torch.zeros(1, 1, dtype=torch.int64)}
    metrics = DetectionMetrics(BOXES)
    metrics.update({"boxes": found, "labels": torch.zeros(1, 2).long(), "scores": torch.tensor([[0.5, 0.9]])}, batch)
    assert metrics.compute()["map"] == 1  # by 15 px it was 0


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_predict_and_metrics_cut_alike(fit: FitMode) -> None:
    torch.manual_seed(0)
    batch = on_canvas((33, 45), (70, 50), fit)
    corner = torch.rand(1, 40, 2) * 60 - 10
    boxes = torch.cat((corner, corner + torch.rand(1, 40, 2) * 30), -1)
    found = {"boxes": boxes, "labels": torch.zeros(1, 40).long(), "scores": torch.linspace(1, 0.5, 40)[None]}
    shown = Detection(BOXES).overlay(found, 0).in_file(batch["to_original"][0], 70, 50).predicted
    assert isinstance(shown, Boxes)
    metrics = DetectionMetrics(BOXES)
    truth = boxes_from_original(torch.tensor([[0.0, 0, 50, 70]]), batch["to_original"][0])
    metrics.update(found, {**batch, "boxes": truth[None], "box_labels": torch.zeros(1, 1).long()})
    kept = metrics.average_precision.detections[0].reshape(-1, 5)
    assert 0 < len(kept) < 40
    torch.testing.assert_close(kept[:, :4], shown.boxes, atol=1e-4, rtol=0)


def test_points_over_the_edge_count_at_the_edge() -> None:
    batch = on_canvas((33, 45), (20, 45)) | {"points": torch.tensor([[[5.0, 10.0], [45.0, 26.0]]])}
    found = {"points": torch.tensor([[[5.0, 10.0], [47.0, 31.0]]]), "scores": torch.ones(1, 2)}
    metrics = KeypointMetrics(POINTS)
    metrics.update(found, batch)
    assert metrics.compute()["error_px"] == 0
    shown = Keypoints(POINTS).overlay(found, 0).in_file(batch["to_original"][0], 20, 45).predicted
    assert isinstance(shown, Points)
    assert shown.points.tolist() == [[5.0, 4.0], [45.0, 20.0]]


@pytest.mark.parametrize(
    ("kind", "head", "lead"),
    [
        ("segmentation", SegmentationHead, ()),
        ("depth", DepthHead, ()),
        ("normals", NormalsHead, (3,)),
        ("edges", EdgesHead, ()),
    ],
)
@pytest.mark.parametrize("cells", [(5, 6), (4, 5)])
def test_a_loss_sees_the_pixels_that_are_predicted(
    kind: str, head: type, lead: tuple[int, ...], cells: tuple[int, int]
) -> None:
    # 33 x 45 px: the cells of stride 8 reach to 40 x 48, or lack the last pixels
    task = Task("maps", kind, class_names=("a", "b") if kind == "segmentation" else ())
    net = head(task, FeatureSpec({"p3": 4}, {"p3": 8}))
    logits = torch.randn(1, net.layer.out_channels, *cells)
    seen = net.at_target({"logits": logits}, torch.zeros(1, *lead, 33, 45))
    given = F.interpolate(logits, scale_factor=8, mode="bilinear")
    assert seen.shape[-2:] == (33, 45)
    torch.testing.assert_close(seen[..., :32, :40], given[..., :32, :40])
    torch.testing.assert_close(seen, at_size(given, 33, 45))


def test_what_lies_behind_the_last_cell_is_like_it() -> None:
    assert at_size(torch.tensor([[1, 2], [3, 4]]), 3, 1).tolist() == [[1], [3], [3]]
    assert at_size(torch.tensor([[1, 2], [3, 4]]), 2, 3).tolist() == [[1, 2, 2], [3, 4, 4]]
