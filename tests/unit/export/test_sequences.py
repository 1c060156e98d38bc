"""Networks of words and letters, and of waveforms, become files that take sequences of any length."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.text.bilstm import BiLSTM
from mtl.evaluation.exported import describe, parity
from mtl.export.exportable import ExportableModel
from mtl.export.graph import _graph, graph_of, sequences
from mtl.export.onnx_file import OnnxModel, write_onnx
from mtl.export.pt2_file import Pt2Model, write_pt2
from mtl.export.recurrent import with_open_lengths
from mtl.heads.sequence.ctc import CTCHead
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
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
    assert not file.lengths
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
@pytest.mark.parametrize("as_operators", [True, False])
def test_a_graph_of_one_length_leaves_later_lengths_open(as_operators: bool) -> None:
    ready = ExportableModel(of_words(character_filters=0))
    fixed, steps = copy.deepcopy(ready), ready.example(3)["tokens"].shape[1]
    with_open_lengths(fixed, as_operators)
    _graph(fixed, fixed.example(3), dynamic_size=False, lengths="one")  # of the length that the next example has
    graph = graph_of(ready, as_operators=as_operators).module()
    values = ready.example(2, seed=1)
    longer = {name: torch.cat([value] * 3, 1) for name, value in values.items()}
    assert longer["tokens"].shape[1] not in (steps, 64)
    torch.testing.assert_close(graph(*longer.values()), ready(*longer.values()))


class Recurrent(BiLSTM):
    """`BiLSTM` with other layers."""

    def __init__(self, kind: type[nn.RNNBase], character_filters: int) -> None:
        super().__init__(WORDS, embedding=8, hidden=4, character_filters=character_filters)
        for layer in self.layers:
            layer.forwards = kind(layer.forwards.input_size, 4, batch_first=True)
            layer.backwards = kind(layer.backwards.input_size, 4, batch_first=True)


def recurrent(kind: type[nn.RNNBase], classes: int = 3, character_filters: int = 4) -> ExportableModel:
    torch.manual_seed(0)
    trunk = Recurrent(kind, character_filters)
    inputs = {name: input_kind(spec)(spec) for name, spec in WORDS.items()}
    tags = TaggingHead(TAGS, trunk.spec)
    whole = ClassificationHead(Task("intent", "classification", classes), trunk.spec)
    return ExportableModel(MultiTaskModel(trunk, {"slots": tags, "intent": whole}, inputs).eval(), output="raw")


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_onnx, write_pt2])
def test_gru_layers_take_any_number_of_words(tmp_path: Path, write: Callable[..., None]) -> None:
    ready = recurrent(nn.GRU)
    path = tmp_path / "model.file"
    write(ready, path)
    file = OnnxModel(path, threads=1) if write is write_onnx else Pt2Model(path)
    assert not file.lengths
    batch = {name: torch.cat([value] * 5, 1) for name, value in ready.example(2, seed=1).items()}
    assert parity(ready, file, [batch]).values < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_onnx, write_pt2])
def test_other_layers_take_the_length_that_is_asked_for(
    tmp_path: Path, write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    ready = recurrent(nn.RNN, classes=20, character_filters=0)  # PyTorch 2.11 cannot fix a length beside open letters
    path, steps = tmp_path / "model.file", dict.fromkeys(sequences(ready.input_names), 20)
    with caplog.at_level(logging.WARNING):
        write(ready, path, max_lengths=steps)
    assert "steps that its file takes: tokens 20" in caplog.text
    file = OnnxModel(path, threads=1) if write is write_onnx else Pt2Model(path)
    assert file.lengths == steps
    batch = ready.example(2)
    assert file(batch)["intent_logits"].shape == (2, 20)  # the number of classes is no number of steps
    assert parity(ready, file, [batch]).values < 1e-5
    longer = {name: torch.cat([value] * 2, 1) for name, value in batch.items()}
    with pytest.raises(ValueError, match="has 32 steps, and the file takes 20: .* --max-length 32"):
        file(longer)


@pytest.mark.slow
def test_a_file_may_be_shorter_than_the_example(tmp_path: Path) -> None:
    ready = recurrent(nn.RNN, character_filters=0)
    write_onnx(ready, tmp_path / "model.onnx", max_lengths=dict.fromkeys(sequences(ready.input_names), 5))
    batch = {name: value[:, :4] for name, value in ready.example(2).items()}
    assert parity(ready, OnnxModel(tmp_path / "model.onnx", threads=1), [batch]).values < 1e-5


def test_outputs_know_whose_steps_they_have() -> None:
    assert recurrent(nn.GRU).in_steps == {"slots_logits": "letters", "slots_mask": "letters"}


def test_an_input_that_nothing_reads_is_left_out_of_the_file() -> None:
    assert ExportableModel(of_words(0)).input_names == ["tokens", "tokens_mask"]
