"""Sentences of a file through a model: a row for each, and a reason for each line that is left out."""

import csv
import json
from pathlib import Path

import pytest
import torch

from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.text.bilstm import BiLSTM
from mtl.evaluation.predictions.predict_text import predict_text
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.targets.target import target_of
from mtl.task import IMAGE, InputSpec, Task

INTENT = Task("intent", "classification", class_names=("flight", "fare"))
SLOTS = Task("slots", "tags", class_names=("O", "B-city", "I-city"))
NAMES = ("<padding>", "<unknown>", "fly", "to", "boston")


@pytest.fixture
def model() -> MultiTaskModel:
    torch.manual_seed(0)
    inputs = {"words": InputSpec("words", "tokens", names=NAMES)}
    backbone = BiLSTM(inputs, embedding=4, hidden=3)
    heads = {"intent": ClassificationHead(INTENT, backbone.spec), "slots": TaggingHead(SLOTS, backbone.spec)}
    return MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in inputs.items()})


def test_every_sentence_has_a_row(model: MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fly  to Boston\r\n\r\nFLY\r\nbad\x07one\r\n" + b"fly " * 600 + b"\r\n")
    found = predict_text(model, tmp_path / "a.txt", tmp_path / "out", batch_size=1)
    assert found["sentences"] == 2
    assert list(found["skipped_lines"]) == [2, 4, 5]
    assert found["skipped_lines"][2] == "empty"
    assert "'\\x07'" in found["skipped_lines"][4]
    assert "600 words" in found["skipped_lines"][5]
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == ["1", "3"]
    assert rows[0]["text"] == "fly to Boston"
    assert rows[0]["intent"] in INTENT.class_names
    document = json.loads((tmp_path / "out" / "predictions.json").read_text())
    tags = document["sentences"][0]["slots"]
    assert len(tags.split()) == 3
    assert rows[0]["slots"] == target_of(SLOTS).readable(tags, ["fly", "to", "Boston"])  # for people
    assert [entry["line"] for entry in document["skipped"]] == [2, 4, 5]


def test_predictions_do_not_depend_on_the_other_sentences(model: MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fly\nfly to boston to fly to boston to fly to boston\n")
    for size in (1, 2):
        predict_text(model, tmp_path / "a.txt", tmp_path / str(size), batch_size=size)
    one, two = ((tmp_path / str(size) / "predictions.csv").read_text() for size in (1, 2))
    assert one == two


def test_marks_at_the_edge_of_a_word_do_not_make_it_unknown(model: MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('fly to "Boston"?\nfly to boston\nnew. (to, york\n...\n')
    predict_text(model, tmp_path / "a.txt", tmp_path)
    asked, plain, *rest = json.loads((tmp_path / "predictions.json").read_text())["sentences"]
    assert asked["text"] == "fly to Boston"
    assert [row["text"] for row in rest] == ["new to york", "..."]
    assert (asked["intent_score"], asked["slots"]) == (plain["intent_score"], plain["slots"])
    inputs = {"words": InputSpec("words", "tokens", names=(*NAMES, "?", "st."))}
    backbone = BiLSTM(inputs, embedding=4, hidden=3)
    heads = {"slots": TaggingHead(SLOTS, backbone.spec)}
    with_marks = MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in inputs.items()})
    (tmp_path / "a.txt").write_text("fly to st. boston?\n")
    predict_text(with_marks, tmp_path / "a.txt", tmp_path)
    assert json.loads((tmp_path / "predictions.json").read_text())["sentences"][0]["text"] == "fly to st. boston ?"


def test_a_file_without_sentences_is_refused(model: MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="has no line that can be read as a sentence \\(2 skipped\\)"):
        predict_text(model, tmp_path / "a.txt", tmp_path / "out")
    with pytest.raises(ValueError, match="there is no file"):
        predict_text(model, tmp_path / "b.txt", tmp_path / "out")


def test_a_model_of_pictures_reads_no_text(tmp_path: Path) -> None:
    backbone = SeedCNN(IMAGE)
    pictures = MultiTaskModel(backbone, {"intent": ClassificationHead(INTENT, backbone.spec)})
    (tmp_path / "a.txt").write_text("fly\n")
    with pytest.raises(ValueError, match="this model cannot: input 'image' of kind 'image' is not made of text"):
        predict_text(pictures, tmp_path / "a.txt", tmp_path / "out")
