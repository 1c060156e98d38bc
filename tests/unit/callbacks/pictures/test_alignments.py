"""When symbols are heard is drawn for transcripts of audio, after the test, and recordings stand in the examples."""

import csv
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.callbacks.pictures.alignments import Alignments
from mtl.callbacks.pictures.text_examples import TextExamples
from mtl.data.sets.spoken_digits import SpokenDigits
from mtl.drawing.alignment import _peaks
from mtl.heads.sequence.ctc import CTCHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule


def test_pictures_and_examples_of_recordings(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = SpokenDigits(**SpokenDigits.example_args(tmp_path / "data"))
    heads = {"word": CTCHead, "speaker": ClassificationHead}
    backbone = lambda inputs: AudioConvolutions(inputs, 8, 2, 1)  # noqa: E731
    module = MultiTaskLightningModule(data.tasks, backbone, heads, dict(data.inputs))  # type: ignore[arg-type]
    callbacks = [Alignments(tmp_path), TextExamples(tmp_path)]
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    Trainer(callbacks=callbacks, **options).test(module, data, verbose=False)  # type: ignore[arg-type]
    assert (tmp_path / "word_alignment.png").stat().st_size > 5000
    with (tmp_path / "examples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["text"], row["word_true"]) for row in rows] == [("r11", "one")]


def test_a_peak_is_the_highest_step_of_a_stretch() -> None:
    assert _peaks(torch.tensor([0.0, 0.4, 0.9, 0.8, 0.1, 0.5])) == [2, 5]
    assert _peaks(torch.zeros(3)) == []


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="num_drawn=-1"):
        Alignments(num_drawn=-1)
