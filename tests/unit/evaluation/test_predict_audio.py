"""Recordings of a folder through a model: a row for each, and a reason for each file that is left out."""

import csv
import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.text.bilstm import BiLSTM
from mtl.cli.predict import predict
from mtl.data.audio.noise_file import write_noise
from mtl.evaluation.predictions.predict_audio import predict_audio
from mtl.heads.sequence.ctc import CTCHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

WORD = Task("word", "transcript", class_names=("<blank>", "a", "b"))
SPEAKER = Task("speaker", "classification", class_names=("ann", "bob"))


@pytest.fixture
def model() -> MultiTaskModel:
    torch.manual_seed(0)
    inputs = {"audio": InputSpec("audio", "audio", channels=8, rate=8000)}
    backbone = AudioConvolutions(inputs, width=8, filters=2, layers=1)
    heads = {"word": CTCHead(WORD, backbone.spec), "speaker": ClassificationHead(SPEAKER, backbone.spec)}
    return MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in inputs.items()})


def header(values: int, rate: int = 8000) -> bytes:
    """The start of a WAV file that says it has so many values of 16 bits."""
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    data = b"data" + struct.pack("<I", 2 * values)
    return b"RIFF" + struct.pack("<I", 36 + 2 * values) + b"WAVEfmt " + struct.pack("<I", 16) + form + data


def hostile(folder: Path) -> None:
    """Recordings of every kind that is read, and files that are not."""
    noise = np.random.default_rng(0).integers(0, 255, size=9600).astype(np.uint8)
    for name, channels, width, rate, data in [
        ("8bit", 1, 1, 8000, noise.tobytes()),
        ("stereo", 2, 2, 8000, noise.tobytes()),
        ("96khz", 1, 2, 96000, noise.tobytes()),
        ("one_value", 1, 2, 8000, b"\x00\x10"),
        ("silence", 1, 2, 8000, bytes(1600)),
        ("no_value", 1, 2, 8000, b""),
    ]:
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
            file.writeframes(data)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "three_hours.wav").write_bytes(header(3 * 3600 * 8000) + bytes(200))
    (folder / "cut.wav").write_bytes(header(4000) + bytes(200))
    (folder / "text.wav").write_text("no sound, but words")
    (folder / "notes.txt").write_text("left alone")


def test_hostile_recordings_have_a_row_or_a_reason(model: MultiTaskModel, tmp_path: Path) -> None:
    hostile(tmp_path)
    found = predict_audio(model, tmp_path, tmp_path / "out", batch_size=3)
    reasons = found["skipped_files"]
    assert sorted(reasons) == ["cut.wav", "empty.wav", "no_value.wav", "text.wav", "three_hours.wav"]
    assert "10800.0 s, more than 60 s" in reasons["three_hours.wav"]
    assert "cut short" in reasons["cut.wav"]
    assert "it is empty" in reasons["empty.wav"]
    assert "holds no sound" in reasons["no_value.wav"]
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["8bit.wav", "96khz.wav", "one_value.wav", "silence.wav", "stereo.wav"]
    assert [row["seconds"] for row in rows.values()] == ["1.2", "0.05", "0.0", "0.1", "0.3"]
    for row in rows.values():
        assert row["speaker"] in SPEAKER.class_names
        assert set(row["word"]) <= {"a", "b"}
    document = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {entry["file"] for entry in document["skipped"]} == set(reasons)


def test_predictions_do_not_depend_on_the_other_recordings(model: MultiTaskModel, tmp_path: Path) -> None:
    for index, values in enumerate((400, 9000, 3000)):
        write_noise(tmp_path / f"{index}.wav", values, seed=index)
    for size in (1, 3):
        predict_audio(model, tmp_path, tmp_path / str(size), batch_size=size)
    one, three = (json.loads((tmp_path / str(size) / "predictions.json").read_text()) for size in (1, 3))
    for left, right in zip(one["recordings"], three["recordings"], strict=True):
        assert {k: v for k, v in left.items() if "score" not in k} == {
            k: v for k, v in right.items() if "score" not in k
        }
        assert left["word_score"] == pytest.approx(right["word_score"], abs=1e-3)


def test_folders_and_models_that_do_not_fit_are_refused(model: MultiTaskModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no recording below .*\.wav, \.flac"):
        predict_audio(model, tmp_path, tmp_path / "out")
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="none of 1 recordings .*a.wav: it cannot be read"):
        predict_audio(model, tmp_path, tmp_path / "out")
    inputs = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "a"))}
    backbone = BiLSTM(inputs, embedding=4, hidden=3)
    text = MultiTaskModel(
        backbone,
        {"speaker": ClassificationHead(SPEAKER, backbone.spec)},
        {name: input_kind(spec)(spec) for name, spec in inputs.items()},
    )
    with pytest.raises(ValueError, match=r"cannot: it takes words \(tokens\)"):
        predict_audio(text, tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="max_seconds=0"):
        predict_audio(model, tmp_path, tmp_path / "out", max_seconds=0)


def test_the_command_names_audio(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="--audio FOLDER"):
        predict(["--run", str(tmp_path)])
