"""The programs beside exported files read sentences and recordings as `mtl` does, by the same rules without PyTorch."""

import json
import runpy
import sys
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import rgb_to_grayscale

from mtl.data.audio.audio_file import read_audio
from mtl.data.csv_rows import Rows, read_csv
from mtl.data.images import read_image
from mtl.data.resize import read_fitted
from mtl.data.table.columns import Columns
from mtl.evaluation.predictions.predict_text import _read
from mtl.inputs.input import input_kind
from mtl.task import InputSpec

pytest.importorskip("onnxruntime")
from mtl.export.infer import pictures, programs_for, recordings, rows, samples, sentences, series

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


@pytest.mark.parametrize(
    "line",
    [
        "rain in Zürich?",
        "(oslo), x.",
        "it's 'x' ... ?",
        "a.m. 7:30!",
        "\t want,  Room? ",
        "¿qué?!",
        "-- / --",
        "x,y ,",
        "12.",
    ],
)
@pytest.mark.parametrize(
    "known", [set(), {"?", ",", "want"}, {"oslo),", "00.", "x."}], ids=lambda known: str(len(known))
)
def test_sentences_are_split_as_predict_does(line: str, known: set[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(line, encoding="utf-8")
    (wanted,), skipped = _read(tmp_path / "a.txt", known)
    assert not skipped
    assert sentences.split(line, known) == wanted.words


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


@pytest.mark.parametrize(
    ("kinds", "stems"),
    [
        (["image"], ["pictures"]),
        (["tokens", "characters"], ["sentences"]),
        (["audio"], ["recordings"]),
        (["table"], ["rows"]),
        (["series"], ["series"]),
        (["image", "audio"], ["samples", "pictures", "recordings"]),
        (["table", "pieces", "image"], ["samples", "pictures", "rows", "sentences"]),
        (["image", "of somebody"], []),
        (["of somebody"], []),
    ],
)
def test_each_model_gets_the_programs_that_prepare_all_its_inputs(kinds: list[str], stems: list[str]) -> None:
    inputs = {f"input{place}": {"kind": kind, "names": ["a"]} for place, kind in enumerate(kinds)}
    assert [path.stem for path in programs_for(inputs)] == stems


@pytest.mark.parametrize(
    ("kind", "stems"), [("tokens", []), ("table", []), ("series", ["series"]), ("audio", ["recordings"])]
)
def test_words_and_columns_cannot_be_read_without_their_names(kind: str, stems: list[str]) -> None:
    assert [path.stem for path in programs_for({"one": {"kind": kind}})] == stems
    assert bool(programs_for({"one": {"kind": kind}, "picture": {"kind": "image"}})) == bool(stems)


def test_words_without_names_are_read_by_their_tokenizer() -> None:
    assert [path.stem for path in programs_for({"one": {"kind": "tokens", "tokenizer": "{}"}})] == ["sentences"]


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


class Answers:
    """A file that takes a row and always answers the same."""

    def __init__(self, **outputs: float) -> None:
        self.outputs = outputs

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="row")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.outputs]

    def run(self, names: list[str], inputs: Any) -> list[Any]:
        return [np.array([self.outputs[name]]) for name in names]


def test_outputs_belong_to_the_task_with_the_longest_name() -> None:
    tasks = {"dose": {"classes": []}, "dose_high": {"classes": ["no", "yes"]}}
    about = {"inputs": {"row": {"names": ["age", "age missing"]}}, "tasks": tasks}
    found = rows.predict(Answers(dose_values=2.5, dose_high_labels=1, dose_high_scores=0.75), about, {"age": "3"})
    assert found == {"dose": {"values": 2.5}, "dose_high": {"class": "yes", "score": 0.75}}


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


@pytest.mark.parametrize("cell", ["sixty", "6_0", "1e39", "inf"])
def test_a_row_that_cannot_be_read_says_why_in_the_words_of_predict(cell: str) -> None:
    columns = Columns(("age",), {"sex": ["f", "m"]})
    about = {
        "inputs": {"row": {"names": list(columns.names)}},
        "tasks": {"ill": {"classes": ["a", "b"]}},
    }
    row, session = {"age": cell, "sex": "f"}, Answers(ill_labels=1, ill_scores=0.5)
    found = rows.predict(session, about, row)
    reason = columns.faults(Rows("t", ("age", "sex"), [row], [2]))[0]
    assert reason.startswith(found["skipped"])
    assert cell in found["skipped"]
    assert rows.predict(session, about, {"age": "60", "sex": "f"}) == {"ill": {"class": "b", "score": 0.5}}
    assert rows.predict(session, about, {"age": "60", "sex": None}) == {
        "skipped": "the row has fewer cells than the header"
    }
    with pytest.raises(SystemExit, match="the table has no column 'sex'; it has age"):
        rows.predict(session, about, {"age": "60"})


def test_answers_are_what_people_read() -> None:
    intent = {"labels": np.array(1), "scores": np.array(0.75)}
    assert sentences.answer({"kind": "classification", "classes": ["a", "b"]}, intent, []) == {
        "class": "b",
        "score": 0.75,
    }
    slots = {"labels": np.array([0, 1, -1]), "scores": np.ones(3)}
    assert sentences.answer({"kind": "tags", "classes": ["O", "B-x"]}, slots, [("to", 0), ("rome", 1)]) == [
        ["to", "O"],
        ["rome", "B-x"],
    ]
    assert sentences.answer({"kind": "tags", "classes": ["O", "B-x"]}, slots, [("rome", 1)]) == [["rome", "B-x"]]
    text = {"tokens": np.array([2, 3, 4, -1]), "scores": np.array(1.0)}
    names = ["<end>", "<unknown>", "ro", "##me", "!"]
    assert sentences.answer({"kind": "text", "classes": names}, text, []) == "rome!"
    spoken = {"tokens": np.array([2, 1, -1]), "scores": np.array(1.0)}
    assert recordings.answer({"kind": "transcript", "classes": ["<blank>", "a", "b"]}, spoken) == "ba"
    assert recordings.answer({"kind": "regression", "classes": []}, {"values": np.array(2.5)}) == {"values": 2.5}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_pictures_are_upright_and_have_the_channels_of_training(channels: int, fit: Any, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    sideways = Image.Exif()
    sideways[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=sideways)
    image, _, to_original = read_fitted(tmp_path / "a.png", (32, 48), fit)
    wanted = rgb_to_grayscale(image) if channels == 1 else image
    taken = SimpleNamespace(name="image", shape=["batch", channels, 32, 48], type="tensor(uint8)")
    fed, (scale, offset, size) = pictures.feed(taken, {"size": [32, 48], "fit": fit}, {"image": "a.png"}, tmp_path)
    assert np.abs(fed["image"][0].astype(int) - wanted.numpy().astype(int)).max() <= 1, "two ways of rounding"
    assert [*scale, *offset] == pytest.approx(to_original.tolist())
    assert size == (40, 30)


def test_series_have_the_columns_of_training_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,x,other\n1,2,a\n,-3.5,b\n")
    found = series.read(tmp_path / "a.csv", ["x", "y"])
    assert np.array_equal(found, np.array([[2, 1], [-3.5, np.nan]], np.float32), equal_nan=True)
    with pytest.raises(SystemExit, match=r"a\.csv: found 2 rows without z; expected a row for each step"):
        series.read(tmp_path / "a.csv", ["x", "z"])


ABOUT = {
    "size": [2, 2],
    "fit": "stretch",
    "inputs": {
        "image": {"kind": "image", "channels": 3},
        "row": {"kind": "table", "names": ["age", "age missing"]},
        "words": {"kind": "tokens", "names": ["<padding>", "<unknown>", "how", "many"]},
        "letters": {"kind": "characters", "names": ["<padding>", "<unknown>", "h", "o", "w"]},
        "track": {"kind": "series", "channels": 1, "names": ["x"]},
    },
    "tasks": {"boxes": {"kind": "detection", "classes": ["a"]}, "tags": {"kind": "tags", "classes": ["O", "B"]}},
}


class Session:
    """A file that remembers what it was given."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.fed: dict[str, Any] = {}

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={"mtl": json.dumps(ABOUT)})

    def get_inputs(self) -> list[Any]:
        names = ["image", "row", "words", "words_mask", "letters", "letters_mask", "track", "track_mask"]
        kind = {"image": "tensor(float)"}
        return [SimpleNamespace(name=name, shape=["b", "t", "u", "v"], type=kind.get(name, "")) for name in names]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in ("boxes_boxes", "boxes_labels", "boxes_scores", "tags_labels")]

    def run(self, _: Any, fed: dict[str, Any]) -> list[Any]:
        self.fed = fed
        boxes = np.array([[[0.0, 0, 1, 2]]], np.float32)
        return [boxes, np.array([[0]]), np.array([[0.5]], np.float32), np.array([[1, 0, -1]])]


CELLS = {"image": "a.png", "age": "NA", "words": "how many", "track": "a.csv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 6), (255, 0, 51)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("x\n7\n8\n9\n")
    return tmp_path


def test_each_input_of_a_sample_is_prepared_by_the_program_of_its_kind(folder: Path) -> None:
    session, used = Session(), samples.programs({what["kind"] for what in ABOUT["inputs"].values()})  # type: ignore[attr-defined]
    found = samples.predict(session, ABOUT, used, CELLS, folder)
    assert session.fed["image"].tolist() == [[[[1, 1]] * 2, [[0, 0]] * 2, [[pytest.approx(0.2)] * 2] * 2]]
    assert np.array_equal(session.fed["row"], [[np.nan, 1]], equal_nan=True)
    assert session.fed["words"].tolist() == [[2, 3, 0, 0, 0, 0, 0, 0]]
    assert session.fed["letters"][0, :2].tolist() == [[2, 3, 4, 0], [1, 1, 1, 1]]
    assert session.fed["words_mask"].sum() == session.fed["letters_mask"].sum() == 2
    assert session.fed["track"].tolist() == [[[7], [8], [9]]]
    assert session.fed["track_mask"].all()
    # the picture is 4 x 6, the network's 2 x 2
    assert found["boxes"] == [{"class": "a", "score": 0.5, "box": [0.0, 0.0, 2.0, 6.0]}]
    assert found["tags"] == [["how", "B"], ["many", "O"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": ""}, r"samples\.csv, sample 1: image is empty; the model's file takes every input"),
        ({"track": None}, r"samples\.csv has no column 'track'; the inputs are image, row, words, letters, track"),
    ],
)
def test_samples_without_an_input_are_refused(
    change: dict[str, Any], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {name: value for name, value in (CELLS | change).items() if value is not None}
    (folder / "samples.csv").write_text(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    monkeypatch.setattr(sys, "argv", ["infer.py", "model.onnx", str(folder / "samples.csv")])
    monkeypatch.syspath_prepend(str(Path(samples.__file__).parent))
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(samples.__file__, run_name="__main__")


def test_a_file_of_one_length_is_filled_up_and_refuses_longer_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 1), np.float32))
    np.save(tmp_path / "wave.npy", np.ones(5, np.float32))
    names = list(NAMES["tokens"])
    of_kinds: list[tuple[Any, dict[str, Any], str]] = [
        (sentences, {"kind": "tokens", "names": names}, "i want i want i"),
        (series, {"kind": "series", "channels": 1}, "a.npy"),
        (recordings, {"kind": "audio", "multiple": 2, "rate": 8000}, "wave.npy"),
    ]
    for program, what, cell in of_kinds:
        about = {"inputs": {"given": what}}
        fits, short = (SimpleNamespace(name="given", shape=["batch", steps, 1]) for steps in (7, 4))
        fed, _ = program.feed(fits, about, {"given": cell}, tmp_path)
        assert fed["given"].shape[1] == 7
        assert int(fed["given_mask"].sum()) == 5
        with pytest.raises(SystemExit, match="5 .*, and this file takes 4; export with .*--max-length"):
            program.feed(short, about, {"given": cell}, tmp_path)
