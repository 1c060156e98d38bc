"""Classification head: cross-entropy over what is labelled, and the ways of pooling."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mtl.batch import IGNORE_INDEX
from mtl.features import MASK, FeatureSpec
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.pooling import Pool
from mtl.task import Task

TASK = Task("scene", "classification", 4)
SPEC = FeatureSpec({"c4": 6, "p2": 5}, {"c4": 16, "p2": 4})
DRAW = torch.Generator().manual_seed(0)
FEATURES = {"c4": torch.randn(3, 6, 2, 2, generator=DRAW), "p2": torch.randn(3, 5, 8, 8, generator=DRAW)}


def head(**settings: Any) -> ClassificationHead:
    return ClassificationHead(TASK, SPEC, **settings)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_cross_entropy_over_the_labelled_samples_only(smoothing: float) -> None:
    net, logits = head(label_smoothing=smoothing), torch.randn(6, 4)
    target = torch.tensor([1, 3, IGNORE_INDEX, 0, 2, 2])
    known = torch.tensor([True, True, True, True, False, True])
    loss = net.loss({"logits": logits}, {"scene": target, "labelled/scene": known})
    rows = [0, 1, 3, 5]
    torch.testing.assert_close(loss, F.cross_entropy(logits[rows], target[rows], label_smoothing=smoothing))


def test_a_batch_without_labels_gives_an_exact_zero_with_gradients() -> None:
    net = head(hidden=8, pooling=["mean", "attention"])
    loss = net.loss(net(FEATURES), {"scene": torch.full((3,), IGNORE_INDEX)})
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_decode_gives_the_likeliest_class_and_its_probability() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    found = head().decode({"logits": logits})
    assert found["labels"].tolist() == [1, 0]
    torch.testing.assert_close(found["scores"], logits.softmax(1).max(1).values)
    torch.testing.assert_close(found["probabilities"].sum(1), torch.ones(2))


def test_pools_the_deepest_level_unless_told() -> None:
    assert head().pool.levels == ("c4",)
    net = head(levels=["c4", "p2"], pooling=["mean", "max"])
    assert net.pool.width == 2 * (6 + 5)
    assert net(FEATURES)["logits"].shape == (3, 4)


def test_mean_and_max_pool_over_the_cells() -> None:
    pooled = Pool(SPEC, ["p2"], ["mean", "max"])(FEATURES)
    torch.testing.assert_close(pooled, torch.cat((FEATURES["p2"].mean((2, 3)), FEATURES["p2"].amax((2, 3))), 1))


def test_a_grid_keeps_where_something_is() -> None:
    map_BCHW = torch.zeros(2, 5, 6, 9)
    map_BCHW[0, 1, 0, 8] = 6.0  # right upper corner: part 2 of 9, of 2 x 3 cells
    map_BCHW[1, 1, 5, 0] = 6.0
    pool = Pool(SPEC, ["p2"], ["mean", "grid"])
    pooled = pool({"p2": map_BCHW})
    assert pool.width == pooled.shape[1] == 5 + 5 * 9
    torch.testing.assert_close(pooled[0, :5], pooled[1, :5])
    parts_BCN = pooled[:, 5:].view(2, 5, 9)
    assert parts_BCN.nonzero().tolist() == [[0, 1, 2], [1, 1, 6]]
    assert parts_BCN.max() == 1
    seen = torch.ones(2, 6, 9, dtype=torch.bool)
    seen[0, 0, 6:8] = seen[1, 3:] = False  # four cells of the first corner stay, nothing of the other
    masked = pool({"p2": map_BCHW, "p2" + MASK: seen})[:, 5:].view(2, 5, 9)
    assert masked.isfinite().all()
    assert masked[0, 1, 2] == pytest.approx(6 / 4)
    assert not masked[1].any()


def test_a_sequence_has_no_grid() -> None:
    spec = FeatureSpec({"words": 4}, {"words": 1}, {"words": "sequence"})
    with pytest.raises(ValueError, match="pooling 'grid' is for maps; level 'words' is a sequence"):
        Pool(spec, ["words"], ["grid"])


def test_attention_without_preference_is_the_mean_and_with_one_picks_its_cell() -> None:
    pool = Pool(SPEC, ["p2"], ["attention"])
    (score,) = pool.attention.children()
    assert isinstance(score, torch.nn.Conv1d)
    torch.nn.init.zeros_(score.weight)
    torch.testing.assert_close(pool(FEATURES), FEATURES["p2"].mean((2, 3)))
    score.weight.data[0, 0] = 1e5  # all attention where channel 0 is largest
    best = FEATURES["p2"][:, 0].flatten(1).argmax(1)
    torch.testing.assert_close(pool(FEATURES), FEATURES["p2"].flatten(2)[torch.arange(3), :, best])


def test_a_hidden_layer_and_dropout_are_optional() -> None:
    assert [type(layer).__name__ for layer in head().layers] == ["Dropout", "Linear"]
    hidden = head(hidden=16, dropout=0.5).layers
    assert [type(layer).__name__ for layer in hidden] == ["Linear", "ReLU", "Dropout", "Linear"]


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert head()(FEATURES)["logits"].dtype == torch.float32


def test_rejects_a_level_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="head 'scene' asks for level 'c5'; the backbone gives c4, p2"):
        head(levels=["c5"])


def test_rejects_a_task_of_another_kind() -> None:
    with pytest.raises(ValueError, match="ClassificationHead supports tasks of kind classification"):
        ClassificationHead(Task("age", "regression"), SPEC)
