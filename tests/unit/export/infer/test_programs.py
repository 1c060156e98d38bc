"""The programs beside exported files read sentences and recordings as `mtl` does, by the same rules without PyTorch."""

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.data.audio.audio_file import read_audio
from mtl.data.csv_rows import Rows, read_csv
from mtl.data.images import read_image
from mtl.data.table.columns import Columns
from mtl.data.text.lines import words_of
from mtl.evaluation.predictions.predict_text import _without_marks
from mtl.inputs.input import input_kind
from mtl.task import InputSpec

pytest.importorskip("onnxruntime")
from mtl.export.infer import pictures, program_for, recordings, rows, sentences

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
    found = np.concatenate([rows.prepare(row, list(columns.names), list(columns.missing), {}) for row in table])
    assert np.array_equal(found, wanted, equal_nan=True)


TABLES = {
    "commas": 'age,sex,name\n61.5,m,"a, b"\n-9.0,-,c\nNAN,f,d\n\n0, "m",e\n',
    "semicolons": "\ufeffage; sex;name\r\n61.5;m;a\r\n-9;?;c\r\n",
    "sep": "sep=|\nage|sex\n7|f\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read_as_in_training(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TABLES[name].encode())
    columns = Columns(("age",), {"sex": ["f", "m"]}, ("", "-"), {"age": ["-9"]})
    table = read_csv(tmp_path / "t.csv", columns.used)
    known = (list(columns.names), list(columns.missing), {"age": ["-9"]})
    read = rows.read(str(tmp_path / "t.csv"))
    assert read == table.rows
    found = np.concatenate([rows.prepare(row, *known) for row in read])
    assert np.array_equal(found, columns.encode(table)[0], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,sex\n1_000,f\n", "column 'age': '1_000' is not a number"),
        ("age,sex\ninf,f\n", "column 'age': 'inf' is not finite"),
        ("age,sex\n1\n", "the row has fewer cells than the header"),
    ],
)
def test_what_is_no_row_is_skipped_with_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    names = list(Columns(("age",), {"sex": ["f", "m"]}).names)
    with pytest.raises(ValueError, match=message):
        rows.prepare(rows.read(str(tmp_path / "t.csv"))[0], names, [""], {})


class Session:
    """A file with the outputs of two tasks of which one begins with the other's name."""

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in ("dose_values", "dose_high_labels", "dose_high_scores")]

    def run(self, names: list[str], inputs: Any) -> list[Any]:
        return [np.array([2.5]), np.array([1]), np.array([0.75])]


def test_outputs_belong_to_the_task_with_the_longest_name() -> None:
    tasks = {"dose": {"classes": []}, "dose_high": {"classes": ["no", "yes"]}}
    about = {"inputs": {"row": {"names": ["age", "age missing"]}}, "tasks": tasks}
    found = rows.predict(Session(), about, {"age": "3"})
    assert found == {"dose": {"values": 2.5}, "dose_high": {"class": "yes", "score": 0.75}}


@pytest.mark.parametrize("known", [{"rome", "?", "00", "u.s."}, {"rome", "...", '"'}, set()])
def test_marks_at_the_edges_of_words_are_those_of_predict(known: set[str]) -> None:
    sentence = 'To "Rome"? (at 17. U.S., ... \t ?!'
    wanted = [part for word in words_of(sentence) for part in _without_marks(word, known)]
    assert sentences.split(sentence, known) == wanted


@pytest.mark.parametrize("pixel_range", [None, [0.0, 4095.0]])
def test_pictures_are_upright_and_of_8_bits_as_in_training(pixel_range: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(rng.integers(0, 65536, (6, 9), dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(rng.random((6, 9), dtype=np.float32) * 300).save(tmp_path / "float.tiff")
    for file in ("turned.png", "deep.png", "float.tiff"):
        found = np.asarray(pictures.read(str(tmp_path / file), pixel_range)).transpose(2, 0, 1)
        wanted = read_image(tmp_path / file, pixel_range=pixel_range)
        assert np.array_equal(found, wanted.numpy()), file


class _Answers:
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
    found = rows.predict(_Answers(), about, row)
    reason = columns.faults(Rows("t", ("age", "sex"), [row], [2]))[0]
    assert reason.startswith(found["skipped"])
    assert cell in found["skipped"]
    assert rows.predict(_Answers(), about, {"age": "60", "sex": "f"}) == {"ill": {"class": "b", "score": 0.5}}
    assert rows.predict(_Answers(), about, {"age": "60", "sex": None}) == {
        "skipped": "the row has fewer cells than the header"
    }
    with pytest.raises(SystemExit, match="the table has no column 'sex'; it has age"):
        rows.predict(_Answers(), about, {"age": "60"})


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
