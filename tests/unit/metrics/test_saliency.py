"""The maximum F-measure of a foreground, counted again with numpy, one threshold after the other."""

import numpy as np
import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.dense.segmentation import SegmentationHead
from mtl.metrics.saliency import SaliencyMetrics, f_beta
from mtl.task import Task

TASK = Task("saliency", "segmentation", class_names=("background", "salient"))


def predicted(share: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a head says of this probability of the foreground."""
    return {"class_map": (share > 0.5).long(), "scores": torch.maximum(share, 1 - share)}


def test_it_is_what_counting_pixel_by_pixel_gives() -> None:
    torch.manual_seed(0)
    share, target = torch.rand(6, 9, 7), torch.randint(-1, 2, (6, 9, 7))
    known = torch.tensor([True, True, False, True, True, True])
    metrics = SaliencyMetrics(TASK)
    for start in (0, 4):  # two batches
        part = slice(start, start + 4)
        batch = {"saliency": target[part], "labelled/saliency": known[part]}
        metrics.update(predicted(share[part]), batch)
    best = 0.0
    counts = (target >= 0).numpy() & known.numpy()[:, None, None]
    p, y = share.double().numpy()[counts], target.numpy()[counts] == 1
    for threshold in np.arange(1, 20) * 0.05:
        found = p >= threshold
        precision, recall = (found & y).sum() / found.sum(), (found & y).sum() / y.sum()
        best = max(best, 1.3 * precision * recall / (0.3 * precision + recall))
    assert float(metrics.compute()["max_f"]) == pytest.approx(best, abs=1e-6)
    assert "miou" in metrics.compute()
    metrics.reset()
    assert not metrics.totals.true.any()


def test_a_value_by_hand() -> None:
    # half of what is found is right, and all is found: 1.3 * 0.5 / (0.3 * 0.5 + 1)
    right, found, true = torch.tensor([4.0, 8.0, 4.0])
    assert float(f_beta(right, found, true)) == pytest.approx(0.65 / 1.15)
    assert float(f_beta(torch.tensor(0.0), torch.tensor(0.0), true)) == 0


def test_a_threshold_counts_what_equals_it() -> None:
    metrics = SaliencyMetrics(TASK)
    metrics.update(
        predicted(torch.tensor([[[0.05, 0.35, 0.95, 0.0499]]])), {"saliency": torch.tensor([[[0, 0, 1, 0]]])}
    )
    assert metrics.totals.predicted.tolist() == [3.0, *[2.0] * 6, *[1.0] * 12]
    assert metrics.compute()["max_f"] == 1


def test_pixels_without_foreground_give_no_value() -> None:
    metrics = SaliencyMetrics(TASK)
    metrics.update(predicted(torch.rand(1, 4, 4)), {"saliency": torch.zeros(1, 4, 4, dtype=torch.long)})
    assert "max_f" not in metrics.compute()


def test_a_head_measures_it_when_asked() -> None:
    spec = FeatureSpec({"p3": 4}, {"p3": 8})
    assert type(SegmentationHead(TASK, spec).metrics()).__name__ == "SegmentationMetrics"
    assert isinstance(SegmentationHead(TASK, spec, max_f=True).metrics(), SaliencyMetrics)
    with pytest.raises(ValueError, match="'parts' has 3 classes; max_f"):
        SegmentationHead(Task("parts", "segmentation", 3), spec, max_f=True)
