"""Temperature and threshold come from validation samples; averages of weights leave them alone."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import log_loss

from mtl.backbones.table.mlp import TableMLP
from mtl.callbacks.checkpoints.ema import EMA
from mtl.callbacks.tracking.calibrate_on_validation import CalibrateOnValidation
from mtl.data.table.csv_table import CsvTable
from mtl.features import FeatureSpec
from mtl.heads.whole.calibrated import CalibratedHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.task import Task
from tests.unit.callbacks.conftest import tiny_trainer

SPEC = FeatureSpec({"h": 3}, layouts={"h": "vector"})


def test_calibrating_twice_changes_nothing_more_and_lowers_the_loss() -> None:
    torch.manual_seed(0)
    head = CalibratedHead(Task("t", "classification", 2), SPEC)
    logits = torch.randn(300, 2) * 4
    labels = torch.multinomial((logits / 4 - torch.tensor([0.0, 0.7])).softmax(1), 1)[:, 0]
    before = head.decode({"logits": logits})
    head.calibrate(before["probabilities"], labels)
    after = head.decode({"logits": logits})
    assert log_loss(labels, after["probabilities"][:, 1]) < log_loss(labels, before["probabilities"][:, 1])
    recall = [(after["labels"] == labels)[labels == c].float().mean() for c in (0, 1)]
    plain = [(before["labels"] == labels)[labels == c].float().mean() for c in (0, 1)]
    assert sum(recall) >= sum(plain)
    first = float(head.temperature), float(head.threshold)
    head.calibrate(after["probabilities"], labels)
    assert (float(head.temperature), float(head.threshold)) == pytest.approx(first, rel=1e-3)
    head.calibrate(after["probabilities"], torch.ones_like(labels))
    left = float(head.temperature), float(head.threshold)
    assert left == pytest.approx(first, rel=1e-3), "samples of one class choose nothing"


def test_class_weights_scale_the_loss_of_their_class() -> None:
    torch.manual_seed(0)
    plain, weighted = (
        ClassificationHead(Task("t", "classification", 2), SPEC, class_weights=weights)
        for weights in (None, [1.0, 3.0])
    )
    outputs = {"logits": torch.tensor([[0.2, -0.4]])}
    for target, factor in ((0, 1), (1, 3)):
        batch = {"t": torch.tensor([target])}
        torch.testing.assert_close(weighted.loss(outputs, batch), factor * plain.loss(outputs, batch))
    with pytest.raises(ValueError, match="expected 2 numbers"):
        ClassificationHead(Task("t", "classification", 2), SPEC, class_weights=[1.0])


def test_validation_sets_the_numbers_of_a_run_under_ema(tmp_path: Path) -> None:
    rows = [
        "x,t,split",
        *(f"{i % 7 - 3 + (i % 5 == 0)},{int(i % 7 > 2)},{('train', 'train', 'val')[i % 3]}" for i in range(60)),
    ]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    data = CsvTable(str(tmp_path / "table.csv"), {"t": {"classes": ["0", "1"]}}, numeric=["x"], split_column="split")  # type: ignore[dict-item]
    torch.manual_seed(0)
    module = MultiTaskLightningModule(data.tasks, TableMLP, {"t": CalibratedHead}, dict(data.inputs))
    callbacks = [EMA(0.9), CalibrateOnValidation()]
    tiny_trainer(callbacks, max_steps=4, check_val_every_n_epoch=1, num_sanity_val_steps=0).fit(module, datamodule=data)
    head = module.model.head("t")
    assert isinstance(head, CalibratedHead)
    assert head.threshold != 0.5
    assert head.temperature != 1.0
    other = MultiTaskLightningModule(data.tasks, TableMLP, {"t": ClassificationHead}, dict(data.inputs))
    with pytest.raises(ValueError, match="no head can be calibrated"):
        tiny_trainer([CalibrateOnValidation()]).fit(other, datamodule=data)
