"""The keys that a callback may monitor are known before a run, for every head."""

import pytest

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.evaluation.log_keys import metric_names, monitored_keys, what_is_wrong
from mtl.heads.head import Head
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.regression import RegressionHead
from mtl.module import MultiTaskLightningModule
from mtl.task import Task
from tests.contract.kit.batches import PLACES, build, every_head


@every_head
def test_the_metrics_of_every_head_are_known_before_a_run(cls: type[Head], kind: str, place: str) -> None:
    head = build(cls, kind, place)
    names = metric_names(head, PLACES[place].inputs)
    assert names is not None
    assert head.monitor[0] in names


def test_errors_are_better_when_they_are_low_and_typos_are_wrong() -> None:
    tasks = {"a": Task("a", "classification", 3), "b": Task("b", "regression")}
    heads = {"a": ClassificationHead, "b": RegressionHead}
    module = MultiTaskLightningModule(tasks, ResidualFPN(width=4, pyramid_width=8), heads)
    known, unknown = monitored_keys(module)
    assert {
        "val/score": "max",
        "val/a/accuracy": "max",
        "val/b/mae": "min",
        "val/loss/a": "min",
    }.items() <= known.items()
    assert unknown == []
    assert what_is_wrong("val/score", "max", known, unknown) is None
    assert what_is_wrong("val/score", "min", known, unknown) == "'val/score' is better when it is high"
    for typo in ("val_loss", "val/map", "test/score"):
        assert what_is_wrong(typo, "min", known, unknown) == f"nothing logs {typo!r} in training"
    assert what_is_wrong("mine/number", "min", known, unknown) is None
    assert what_is_wrong("val/c/any", "min", known, ["val/c/"]) is None


def test_a_head_with_another_input_than_an_example_has_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl.targets.classification.Classification.perfect", lambda *_: {})
    head = build(ClassificationHead, "classification", "map")
    assert metric_names(head, PLACES["map"].inputs) is None
