"""After the test, sentences stand in a table with their predictions, and those with errors in a picture."""

import csv
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.backbones.text.bilstm import BiLSTM
from mtl.callbacks.pictures.text_examples import TextExamples
from mtl.data.sets.voice_commands import VoiceCommands
from mtl.drawing.text_table import Example, TaskAnswer, draw_examples
from mtl.heads.sequence.decoder import DecoderHead
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.targets.tags import Tags
from mtl.task import Task


def test_the_table_and_the_picture_are_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = VoiceCommands(num_train=8, num_val=4, num_test=20, eval_batch_size=8)
    heads = {"intent": ClassificationHead, "slots": TaggingHead, "spanish": DecoderHead}
    backbone = lambda inputs: BiLSTM(inputs, 4, hidden=3)  # noqa: E731
    module = MultiTaskLightningModule(data.tasks, backbone, heads, dict(data.inputs))  # type: ignore[arg-type]
    callback = TextExamples(tmp_path, num_examples=12, num_drawn=3)
    trainer = Trainer(
        logger=False, accelerator="cpu", callbacks=[callback], enable_progress_bar=False, enable_model_summary=False
    )
    trainer.test(module, data, verbose=False)
    with (tmp_path / "examples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [row["text"] for row in rows[:2]] == [data.test_set.text(0), data.test_set.text(1)]  # type: ignore[attr-defined]
    for row in rows:
        assert (row["intent"] == row["intent_true"]) == (row["intent_correct"] == "True")
        assert (row["slots"] == row["slots_true"]) == (row["slots_correct"] == "True")
    assert (tmp_path / "examples.png").stat().st_size > 5000


def test_a_picture_takes_signs_that_formulas_are_made_of(tmp_path: Path) -> None:
    example = Example("what costs $5 and $7_x^2", (TaskAnswer("intent", "$fare", "$x$", False),))
    assert example.has_error
    assert draw_examples([example], tmp_path / "a.png")


def test_tags_are_read_as_spans() -> None:
    tags = Tags(Task("slots", "tags", class_names=("O", "B-city", "I-city", "B-day")))
    words = ["fly", "to", "new", "york", "monday"]
    assert tags.readable("O O B-city I-city B-day", words) == "city: new york; day: monday"
    assert tags.readable("O O O I-city B-city", words) == "city: york; city: monday"
    assert tags.readable("O O O O O", words) == ""
    assert tags.readable("NOUN VERB", words) == "NOUN VERB"


def test_numbers_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="num_drawn=-1 must be at least 0"):
        TextExamples(num_drawn=-1)
