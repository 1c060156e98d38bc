"""Every measure found, on planted problems whose truth is known, and their formulas by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mtl.affinity
from mtl.affinity.grouping import group_tasks
from mtl.affinity.label_information import LabelInformation
from mtl.affinity.lookahead import FirstOrderLookahead, Lookahead
from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.backbones.backbone import Backbone
from mtl.batch import Batch
from mtl.discovery import concrete_subclasses
from mtl.features import Features, FeatureSpec
from mtl.heads.whole.regression import RegressionHead
from mtl.model import MultiTaskModel
from mtl.task import Task

MEASURES = [c for c in concrete_subclasses(AffinityMeasure) if c.__module__.startswith(mtl.affinity.__name__)]
every_measure = pytest.mark.parametrize("cls", MEASURES, ids=lambda cls: cls.__name__)
# four regression tasks: a1 and a2 have the same target, b1 and b2 another one that has nothing to do with it
TASKS = {name: Task(name, "regression") for name in ("a1", "b1", "a2", "b2")}
SIDE = 4


class Linear(Backbone):
    """A few features of the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 16, SIDE)
        self.spec = FeatureSpec({"c3": 16}, {"c3": SIDE})

    def forward(self, image: Tensor) -> Features:
        return {"c3": self.layer(image)}


def planted(num_batches: int = 4, size: int = 32) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(num_batches):
        image = torch.rand(size, 3, SIDE, SIDE, generator=generator)
        first_B, second_B = (image[:, channel].mean((1, 2)) for channel in (0, 1))
        batch: Batch = {"image": image}
        for name in TASKS:
            batch[name] = 8 * ((first_B if name.startswith("a") else second_B) - 0.5)
        batches.append(batch)
    return batches


def model(names: Any = TASKS, seed: int = 0, steps: int = 40) -> MultiTaskModel:
    """Trained a little on the planted problem; tasks of a pair start from equal heads."""
    torch.manual_seed(seed)
    backbone = Linear()
    heads = {}
    for name in names:
        torch.manual_seed(1 if name.startswith("a") else 2)
        heads[name] = RegressionHead(TASKS[name], backbone.spec, hidden=8)
    found = MultiTaskModel(backbone, heads)
    optimizer = torch.optim.SGD(found.parameters(), lr=0.02)
    for step in range(steps):
        batch = planted()[step % 4]
        optimizer.zero_grad()
        torch.stack(list(found.losses(found(batch["image"]), batch).values())).sum().backward()
        optimizer.step()
    return found.train()


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    # single networks of one pair start alike, as runs with one seed do
    singles = {name: model([name], seed=0 if name.startswith("a") else 1) for name in TASKS}
    return Evidence(TASKS, planted(), model(), singles)


@every_measure
def test_planted_pairs_are_told_from_the_others(cls: type[AffinityMeasure], evidence: Evidence) -> None:
    found_NKK = cls.example().measure(evidence)
    assert found_NKK.shape[1:] == (4, 4)
    mean_KK = found_NKK.double().nanmean(0)
    pairs = [mean_KK[0, 2], mean_KK[2, 0], mean_KK[1, 3], mean_KK[3, 1]]
    others = [mean_KK[i, j] for i, j in ((0, 1), (1, 0), (0, 3), (3, 0), (2, 1), (1, 2), (2, 3), (3, 2))]
    if cls.__name__ != "GradientMagnitude":  # lengths say nothing of direction
        assert min(pairs) > max(others)
    assert min(pairs) > 0
    if cls.symmetric:
        torch.testing.assert_close(mean_KK, mean_KK.T, atol=1e-6, rtol=1e-6)
    assert cls.paper
    assert cls.needs in ("labels", "model", "singles")


@every_measure
def test_the_model_is_left_as_it_was(cls: type[AffinityMeasure], evidence: Evidence) -> None:
    assert evidence.model is not None
    before = {name: value.clone() for name, value in evidence.model.state_dict().items()}
    cls.example().measure(evidence)
    for name, value in evidence.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert evidence.model.training


def test_planted_groups_are_recovered(evidence: Evidence) -> None:
    mean_KK = Lookahead().measure(evidence).double().mean(0)
    groups, total = group_tasks(mean_KK, networks=2)
    assert sorted(map(sorted, groups)) == [[0, 2], [1, 3]]
    assert total > 0


def test_lookahead_is_what_a_step_by_hand_does(evidence: Evidence) -> None:
    joint, batch = model(), planted(1)[0]
    found_KK = Lookahead(step=1e-2).measure(Evidence(TASKS, [batch], joint))[0]
    before = joint.losses(joint(batch["image"]), batch)
    shared = list(joint.trunk.parameters())
    rows = torch.autograd.grad(before["b1"], shared)
    length = math.sqrt(sum(float(p.detach().square().sum()) for p in shared))
    size = 1e-2 * length / math.sqrt(sum(float(row.square().sum()) for row in rows))
    with torch.no_grad():
        for parameter, row in zip(shared, rows, strict=True):
            parameter -= size * row
        after = joint.losses(joint(batch["image"]), batch)
    wanted_K = torch.stack([1 - after[name] / before[name].detach() for name in TASKS])
    torch.testing.assert_close(found_KK[1], wanted_K, rtol=1e-4, atol=1e-5)


def test_the_first_order_form_is_the_limit_of_small_steps() -> None:
    evidence = Evidence(TASKS, planted(2), model())
    whole = Lookahead(step=1e-4).measure(evidence)
    first = FirstOrderLookahead(step=1e-4).measure(evidence)
    torch.testing.assert_close(first, whole, rtol=0.05, atol=2e-5)


def test_a_task_without_labels_is_not_known() -> None:
    batch = planted(1)[0]
    batch["labelled/a2"] = torch.zeros(32, dtype=torch.bool)
    found_KK = Lookahead().measure(Evidence(TASKS, [batch], model()))[0]
    assert found_KK[2].isnan().all()
    assert found_KK[:, 2].isnan().all()
    assert found_KK[0, 1].isfinite()


def test_labels_of_independent_tasks_share_nothing_and_a_function_shares_all() -> None:
    generator = torch.Generator().manual_seed(0)
    tasks = {name: Task(name, "classification", class_names=("x", "y", "z", "w")) for name in ("a", "b", "c")}
    batch = {name: torch.randint(4, (500,), generator=generator) for name in ("a", "b")}
    batch["c"] = (batch["a"] + 1) % 4
    mean_KK = LabelInformation().measure(Evidence(tasks, [batch])).mean(0)
    assert abs(float(mean_KK[0, 1])) < 0.03
    assert float(mean_KK[0, 2]) == pytest.approx(1.0)


def test_boxes_tell_how_many_there_are_and_what_the_largest_is() -> None:
    tasks = {
        "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
        "count": Task("count", "regression"),
        "largest": Task("largest", "classification", class_names=("cat", "dog")),
    }
    generator = torch.Generator().manual_seed(0)
    count_B = torch.randint(1, 4, (60,), generator=generator)
    labels_BM = torch.randint(2, (60, 3), generator=generator)
    sizes_BM = torch.rand(60, 3, generator=generator) + 0.1
    there_BM = torch.arange(3) < count_B[:, None]
    corner = torch.zeros(60, 3, 2)
    boxes = torch.cat((corner, corner + sizes_BM[..., None]), -1)
    largest_B = labels_BM.gather(1, (sizes_BM * there_BM).argmax(1, keepdim=True))[:, 0]
    batch = {"boxes": boxes, "box_labels": torch.where(there_BM, labels_BM, -1), "count": count_B.float()}
    batch["largest"] = largest_B
    mean_KK = LabelInformation().measure(Evidence(tasks, [batch])).mean(0)
    assert float(mean_KK[0, 1]) == pytest.approx(1.0)
    assert float(mean_KK[0, 2]) == pytest.approx(1.0)
    assert float(mean_KK[1, 2]) < 0.2


@pytest.mark.parametrize("name", ["GradientCosine", "CKA"])
def test_what_is_missing_is_named(name: str) -> None:
    cls = next(cls for cls in MEASURES if cls.__name__ == name)
    with pytest.raises(ValueError, match="--run" if cls.needs == "model" else "--singles lacks"):
        cls.example().measure(Evidence(TASKS, planted(1)))


def test_a_step_must_be_positive() -> None:
    with pytest.raises(ValueError, match="step=0"):
        Lookahead(step=0)
