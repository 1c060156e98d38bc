"""Every head, backbone and architecture leaves the house: its ONNX file gives what the model gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.evaluation.exported import parity
from mtl.export.exportable import ExportableModel
from mtl.export.onnx_file import OnnxModel, write_onnx
from mtl.export.pt2_file import Pt2Model, write_pt2
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.head import Head
from mtl.inputs.input import Input, input_kind
from mtl.model import MultiTaskModel
from mtl.task import Inputs, Task
from tests.contract.kit.architectures import grounds_of
from tests.contract.kit.architectures import model as model_of
from tests.contract.kit.batches import PLACES, task_of
from tests.contract.kit.found import found
from tests.contract.kit.trunks import build

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TRUNKS: dict[str, Callable[[Inputs], Backbone]] = {
    "map": lambda inputs: ResidualFPN(inputs, width=4, pyramid_width=8),
    "sequence": lambda inputs: BiLSTM(inputs, embedding=8, hidden=4),
    "vector": lambda inputs: TableMLP(inputs, widths=(8,)),
}
SIZE = (64, 64)


def prepared(inputs: Inputs) -> dict[str, Input]:
    return {name: input_kind(spec)(spec) for name, spec in inputs.items()}


def check(model: MultiTaskModel, folder: Path, form: str = "onnx", most: float = 2e-3) -> None:
    ready, path = ExportableModel(model.eval(), size=SIZE), folder / f"model.{form}"
    (write_onnx if form == "onnx" else write_pt2)(ready, path, description={"run": "test"})
    file = OnnxModel(path, threads=1) if form == "onnx" else Pt2Model(path)
    assert file.input_names == ready.input_names
    assert file.output_names == ready.output_names
    assert file.description["run"] == "test"
    for number in (1, 3):  # the batch is open
        same = parity(ready, file, [ready.example(number, seed=number)])
        assert same.samples == number
        assert same.values < most, "boxes are in pixels, the rest in units; deep networks add in another order"
        assert same.labels < 0.01


def settled(model: MultiTaskModel) -> MultiTaskModel:
    """The model, its norms with the statistics of some samples: without them the features of a deep network that was
    never trained vanish, all scores are equal, and which boxes are kept is chance."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all samples
    samples = ExportableModel(model.eval(), size=SIZE).example(8, seed=7)
    model.train()
    with torch.no_grad():
        model.cut(samples)
    return model


def every_head(trunk: Backbone) -> dict[str, Head]:
    """A head of each kind that fits the trunk."""
    heads: dict[str, Head] = {}
    for cls in found(Head):
        for kind in cls.kinds if cls.exportable else ():
            name = f"{cls.__name__.lower()}_{kind}"
            plain: Any = task_of(kind)
            try:
                heads[name] = cls(Task(name, kind, plain.num_classes), trunk.spec)
            except (ValueError, KeyError):
                continue  # of another layout
            for parameter in heads[name].parameters():
                if parameter.ndim > 1:
                    parameter.data *= 3  # answers of a network that was never trained are ties
    assert heads
    return heads


@pytest.mark.parametrize("place", TRUNKS)
def test_all_heads_of_a_layout(place: str, tmp_path: Path) -> None:
    inputs = PLACES[place].inputs
    torch.manual_seed(0)
    trunk = TRUNKS[place](inputs)
    check(MultiTaskModel(trunk, every_head(trunk), prepared(inputs)), tmp_path)


def test_a_pytorch_file_gives_what_the_model_gives(tmp_path: Path) -> None:
    inputs = PLACES["vector"].inputs
    torch.manual_seed(0)
    trunk = TRUNKS["vector"](inputs)
    check(MultiTaskModel(trunk, every_head(trunk), prepared(inputs)), tmp_path, "pt2")


def test_sizes_of_images_can_stay_open(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = ResidualFPN(width=4, pyramid_width=8)
    head = CenterNetHead(Task("boxes", "detection", 3), trunk.spec)
    model = MultiTaskModel(trunk, {"boxes": head}).eval()
    write_onnx(ExportableModel(model, size=SIZE), tmp_path / "model.onnx", dynamic_size=True)
    file = OnnxModel(tmp_path / "model.onnx", threads=1)
    for size in (SIZE, (96, 128)):
        other = ExportableModel(model, size=size)
        assert parity(other, file, [other.example(2)]).values < 1e-3


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", ["onnx", "pt2"])
@pytest.mark.parametrize("cls", found(Backbone))
def test_every_head_on_each_backbone(cls: type[Backbone], form: str, tmp_path: Path) -> None:
    trunk, inputs = build(cls)
    model = settled(MultiTaskModel(trunk, every_head(trunk), prepared(inputs)))
    # boxes of the deepest one, with random weights, differ by 0.01 px between 32 and 64 bits in PyTorch itself
    check(model, tmp_path, form, most=2e-2)


@pytest.mark.nightly
@pytest.mark.parametrize("cls", found(Architecture))
def test_each_architecture(cls: type[Architecture], tmp_path: Path) -> None:
    check(settled(model_of(cls, grounds_of(cls)[0])), tmp_path)
