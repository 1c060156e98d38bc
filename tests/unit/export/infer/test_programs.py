"""The programs beside exported files read sentences and recordings as `mtl` does, by the same rules without PyTorch."""

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mtl.data.audio.audio_file import read_audio
from mtl.data.csv_rows import Rows
from mtl.data.table.columns import Columns
from mtl.inputs.input import input_kind
from mtl.task import InputSpec

pytest.importorskip("onnxruntime")
from mtl.export.infer import program_for, recordings, rows, sentences

WORDS = ["I", "want", "Room", "12", "x", "7pm", "ünïcode", "qqq", "a"]
NAMES = {
    "tokens": ("<padding>", "<unknown>", "want", "i", "room", "00", "0pm"),
    "characters": ("<padding>", "<unknown>", *"abcdefghijklmnopqrstuvwxyz0"),
    "pieces": ("<padding>", "<unknown>", "wa", "##nt", "##n", "##t", "i", "room", "1", "##2", "a", "x"),
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("words", [WORDS, ["a"], ["x" * 40, "want" * 9]])
def test_sentences_have_the_indices_of_training(kind: str, words: list[str]) -> None:
    spec = InputSpec("input", kind, names=NAMES[kind])
    wanted = input_kind(spec).reader(spec)(words)
    assert np.array_equal(sentences.prepare(words, kind, list(NAMES[kind]))[0], wanted.numpy())


@pytest.mark.parametrize(("own_rate", "channels"), [(8000, 1), (16000, 2), (6000, 1)])
def test_recordings_are_the_waveforms_of_training(own_rate: int, channels: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-30000, 30000, (801, channels)).astype("<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((channels, 2, own_rate, 801, "NONE", ""))
        file.writeframes(values.tobytes())
    found = torch.from_numpy(recordings.read(str(tmp_path / "a.wav"), 8000))
    torch.testing.assert_close(found, read_audio(tmp_path / "a.wav", 8000), atol=1e-5, rtol=0)


def test_recordings_of_other_widths_are_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 1, 8000, 4, "NONE", ""))
        file.writeframes(b"abcd")
    with pytest.raises(SystemExit, match=r"a\.wav: expected a WAV file of 16 bits.*it has 8"):
        recordings.read(str(tmp_path / "a.wav"), 8000)


def test_each_model_gets_the_program_that_prepares_all_its_inputs() -> None:
    found = {
        kinds: program_for(kinds)
        for kinds in [("image",), ("tokens", "characters"), ("audio",), ("table",), ("image", "audio")]
    }
    stems = [path and path.stem for path in found.values()]
    assert stems == ["pictures", "sentences", "recordings", "rows", None]


def test_rows_are_the_numbers_of_training() -> None:
    columns = Columns(("age", "a=b"), {"sex": ["f", "m"], "site": ["x missing", "y"]})
    table = [
        {"age": "61.5", "a=b": "-1e3", "sex": " m", "site": "x missing"},
        {"age": "NA", "a=b": "", "sex": "?", "site": ""},
        {"age": "0", "a=b": "7", "sex": "other", "site": "y"},
    ]
    wanted, _ = columns.encode(Rows("t", tuple(table[0]), table, [2, 3, 4]))
    found = np.concatenate([rows.prepare(row, list(columns.names)) for row in table])
    assert np.array_equal(found, wanted, equal_nan=True)


class _Session:
    """A model that says `b`; no file is needed to see which rows reach it."""

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="ill_labels"), SimpleNamespace(name="ill_scores")]

    def run(self, outputs: Any, inputs: dict[str, Any]) -> list[Any]:
        return [np.array([1]), np.array([0.5])]


@pytest.mark.parametrize("cell", ["sixty", "6_0", "1e39", "inf"])
def test_a_row_that_cannot_be_read_says_why_in_the_words_of_predict(cell: str) -> None:
    columns = Columns(("age",), {"sex": ["f", "m"]})
    about = {
        "inputs": {"row": {"names": list(columns.names)}},
        "tasks": {"ill": {"classes": ["a", "b"]}},
    }
    row = {"age": cell, "sex": "f"}
    found = rows.predict(_Session(), about, row)
    reason = columns.faults(Rows("t", ("age", "sex"), [row], [2]))[0]
    assert reason.startswith(found["skipped"])
    assert cell in found["skipped"]
    assert rows.predict(_Session(), about, {"age": "60", "sex": "f"}) == {"ill": {"class": "b", "score": 0.5}}
    assert rows.predict(_Session(), about, {"age": "60", "sex": None}) == {
        "skipped": "the row has fewer cells than the header"
    }
    with pytest.raises(SystemExit, match="the table has no column 'sex'; it has age"):
        rows.predict(_Session(), about, {"age": "60"})


def test_answers_are_what_people_read() -> None:
    intent = {"labels": np.array(1), "scores": np.array(0.75)}
    assert sentences.answer({"kind": "classification", "classes": ["a", "b"]}, intent, []) == {
        "class": "b",
        "score": 0.75,
    }
    slots = {"labels": np.array([0, 1, -1]), "scores": np.ones(3)}
    assert sentences.answer({"kind": "tags", "classes": ["O", "B-x"]}, slots, ["to", "rome"]) == [
        ["to", "O"],
        ["rome", "B-x"],
    ]
    text = {"tokens": np.array([2, 3, 4, -1]), "scores": np.array(1.0)}
    names = ["<end>", "<unknown>", "ro", "##me", "!"]
    assert sentences.answer({"kind": "text", "classes": names}, text, []) == "rome!"
    spoken = {"tokens": np.array([2, 1, -1]), "scores": np.array(1.0)}
    assert recordings.answer({"kind": "transcript", "classes": ["<blank>", "a", "b"]}, spoken) == "ba"
    assert recordings.answer({"kind": "regression", "classes": []}, {"values": np.array(2.5)}) == {"values": 2.5}
