"""A sample counts as right if all of its tasks are, and not at all if one of them is not labelled."""

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.backbones.text.bilstm import BiLSTM
from mtl.callbacks.tracking.sentence_accuracy import SentenceAccuracy
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.task import InputSpec, Task

TASKS = {
    "intent": Task("intent", "classification", class_names=("a", "b")),
    "slots": Task("slots", "tags", class_names=("O", "B-x", "I-x")),
}
BATCH = {
    "words": torch.ones(4, 2, dtype=torch.long),
    "intent": torch.tensor([0, 1, 1, 0]),
    "slots": torch.tensor([[1, 2], [0, -100], [0, 1], [0, 0]]),
    "labelled/intent": torch.tensor([True, True, True, False]),
    "labelled/slots": torch.tensor([True] * 4),
}


def module(heads: list[str]) -> MultiTaskLightningModule:
    makers = {"intent": ClassificationHead, "slots": TaggingHead}
    backbone = lambda inputs: BiLSTM(inputs, 4, hidden=3)  # noqa: E731
    words = {"words": InputSpec("words", "tokens", 5)}
    return MultiTaskLightningModule(TASKS, backbone, {name: makers[name] for name in heads}, words)


def counted(callback: SentenceAccuracy, heads: list[str]) -> tuple[float, float]:
    built = module(heads)
    predictions = {
        "intent": {"labels": torch.tensor([0, 1, 1, 1])},
        # the second is right where it is labelled, the third is wrong
        "slots": {"labels": torch.tensor([[1, 2], [0, 1], [0, 0], [0, 0]])},
    }
    callback.setup(Trainer(logger=False, accelerator="cpu"), built, "test")
    callback.on_test_epoch_start(None, built)  # type: ignore[arg-type]
    callback.on_test_batch_end(None, built, predictions, BATCH, 0)  # type: ignore[arg-type]
    return callback.right.compute().item(), callback.count.compute().item()


def test_all_tasks_of_a_sample_must_be_right() -> None:
    assert counted(SentenceAccuracy(), ["intent", "slots"]) == (2, 3)


def test_one_task_is_its_own_accuracy() -> None:
    assert counted(SentenceAccuracy(["slots"]), ["intent", "slots"]) == (3, 4)
    assert counted(SentenceAccuracy(), ["slots"]) == (3, 4)


def test_a_task_without_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="'slot' that has no head.*Did you mean 'slots'"):
        counted(SentenceAccuracy(["slot"]), ["intent", "slots"])
