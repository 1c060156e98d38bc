"""A run says which inputs of its data nothing reads."""

import logging
from typing import Any

import pytest

from mtl.backbones.fusion.concat import ConcatFusion
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.cli.trainer.start_checks import tell_unread_inputs
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

INPUTS = {
    "words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "fly")),
    "row": InputSpec("row", "table", names=("price", "price missing")),
}
TASK = Task("intent", "classification", class_names=("a", "b"))


def model_of(backbone: Any) -> MultiTaskModel:
    heads = {"intent": ClassificationHead(TASK, backbone.spec)}
    return MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in INPUTS.items()})


def test_an_input_that_no_backbone_reads_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell_unread_inputs(model_of(BiLSTM(INPUTS, embedding=4, hidden=3)))
    assert "no part of the model reads the input 'row'" in caplog.text


def test_a_fusion_reads_all(caplog: pytest.LogCaptureFixture) -> None:
    encoders = {
        "words": lambda inputs: BiLSTM(inputs, embedding=4, hidden=3),
        "row": lambda inputs: TableMLP(inputs, widths=(4,)),
    }
    with caplog.at_level(logging.WARNING):
        tell_unread_inputs(model_of(ConcatFusion(INPUTS, encoders=encoders, width=4)))
    assert not caplog.text
