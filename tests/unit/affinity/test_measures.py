"""Formulas of affinity measures by hand, and what they say of planted problems."""

import math

import pytest
import torch

from mtl.affinity.grouping import group_tasks
from mtl.affinity.label_information import LabelInformation
from mtl.affinity.lookahead import FirstOrderLookahead, Lookahead
from mtl.affinity.measure import Evidence
from mtl.task import Task
from tests.contract.kit.planted import TASKS, model, planted, planted_evidence


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return planted_evidence()


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


def test_a_step_must_be_positive() -> None:
    with pytest.raises(ValueError, match="step=0"):
        Lookahead(step=0)
