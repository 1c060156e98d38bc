"""Networks of words and letters, and of waveforms, become files that take sequences of any length."""

import copy
from pathlib import Path

import pytest
import torch

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.text.bilstm import BiLSTM
from mtl.evaluation.exported import describe, parity
from mtl.export.exportable import ExportableModel
from mtl.export.graph import _graph, graph_of
from mtl.export.onnx_file import OnnxModel, write_onnx
from mtl.export.recurrent import with_open_lengths
from mtl.heads.sequence.ctc import CTCHead
from mtl.heads.sequence.tagging import TaggingHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = {"letters": InputSpec("letters", "characters", 30), "tokens": InputSpec("tokens", "tokens", 20)}
TAGS = Task("slots", "tags", class_names=("O", "B-x", "I-x"))


def of_words(character_filters: int = 4) -> MultiTaskModel:
    torch.manual_seed(0)
    trunk = BiLSTM(WORDS, embedding=8, hidden=4, character_filters=character_filters)
    inputs = {name: input_kind(spec)(spec) for name, spec in WORDS.items()}
    return MultiTaskModel(trunk, {"slots": TaggingHead(TAGS, trunk.spec)}, inputs).eval()


@pytest.mark.slow
def test_words_and_letters_of_any_number(tmp_path: Path) -> None:
    ready = ExportableModel(of_words())
    write_onnx(ready, tmp_path / "model.onnx")
    file = OnnxModel(tmp_path / "model.onnx", threads=1)
    assert file.length is None
    for words, letters in ((1, 1), (3, 7), (70, 2)):  # longer than what a file of one length once took
        tokens = torch.randint(1, 20, (2, words))
        spelled = torch.randint(1, 30, (2, words, letters))
        mask = torch.arange(words) < torch.tensor([[words], [1]])
        batch = {"letters": spelled, "letters_mask": mask, "tokens": tokens * mask, "tokens_mask": mask}
        same = parity(ready, file, [batch])
        assert same.values < 1e-5, (words, letters)
        assert same.labels == 0


@pytest.mark.nightly
def test_waveforms_of_any_number_of_blocks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = InputSpec("audio", "audio", 9)
    trunk = AudioConvolutions({"audio": spec}, width=8, layers=1)
    head = CTCHead(Task("letters", "transcript", 4), trunk.spec)
    ready = ExportableModel(MultiTaskModel(trunk, {"letters": head}, {"audio": input_kind(spec)(spec)}).eval())
    write_onnx(ready, tmp_path / "model.onnx")
    file = OnnxModel(tmp_path / "model.onnx", threads=1)
    block = describe(ready, "run")["inputs"]["audio"]["multiple"]
    assert block == 640
    for blocks in (1, 9):
        wave = torch.randn(2, blocks * block)
        same = parity(ready, file, [{"audio": wave, "audio_mask": torch.ones_like(wave, dtype=torch.bool)}])
        assert same.values < 1e-3
        assert same.labels == 0


def test_words_and_letters_share_one_length() -> None:
    found = ExportableModel(of_words()).open_dimensions()
    assert found["letters"] == {1: ("tokens_length", 1), 2: ("letters_size2", 1)}
    assert found["tokens_mask"] == found["letters_mask"] == {1: ("tokens_length", 1)}


def test_examples_of_words_and_letters_have_one_length() -> None:
    ready = ExportableModel(of_words())
    for seed in range(5):
        found = ready.example(2, seed)
        assert len({value.shape[1] for value in found.values()}) == 1
        assert found["letters"].shape[2] == 5


@pytest.mark.parametrize("seed", range(4))
def test_examples_hold_no_size_but_their_own(seed: int) -> None:
    example = ExportableModel(of_words()).example(3, seed)
    assert all(value.is_contiguous() for value in example.values())


@pytest.mark.slow
@pytest.mark.parametrize("lstm_operator", [True, False])
def test_a_graph_of_one_length_leaves_later_lengths_open(lstm_operator: bool) -> None:
    ready = ExportableModel(of_words())
    fixed, steps = copy.deepcopy(ready), ready.example(3)["tokens"].shape[1]
    with_open_lengths(fixed, lstm_operator)
    _graph(fixed, fixed.example(3), dynamic_size=False, open_lengths=False)  # of the length that the next example has
    graph = graph_of(ready, lstm_operator=lstm_operator).module()
    values = ready.example(2, seed=1)
    longer = {name: torch.cat([value] * 3, 1) for name, value in values.items()}
    assert longer["tokens"].shape[1] not in (steps, 64)
    torch.testing.assert_close(graph(*longer.values()), ready(*longer.values()))


def test_an_input_that_nothing_reads_is_left_out_of_the_file() -> None:
    assert ExportableModel(of_words(0)).input_names == ["tokens", "tokens_mask"]
