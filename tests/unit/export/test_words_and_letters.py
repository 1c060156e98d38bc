"""A network of words and their letters is refused by name, and one of words alone is not."""

import pytest

from mtl.backbones.text.bilstm import BiLSTM
from mtl.export.exportable import ExportableModel
from mtl.heads.sequence.tagging import TaggingHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

INPUTS = {"tokens": InputSpec("tokens", "tokens", 20), "letters": InputSpec("letters", "characters", 30)}


def model(character_filters: int) -> MultiTaskModel:
    trunk = BiLSTM(INPUTS, embedding=8, hidden=4, character_filters=character_filters)
    head = TaggingHead(Task("slots", "tags", 3), trunk.spec)
    return MultiTaskModel(trunk, {"slots": head}, {name: input_kind(spec)(spec) for name, spec in INPUTS.items()})


def test_letters_that_the_network_reads_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reads words and their letters \(letters\).*`character_filters: 0`"):
        ExportableModel(model(4))
    assert all(name.startswith("slots_") for name in ExportableModel(model(0)).output_names)
