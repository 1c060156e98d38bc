from pathlib import Path

import pytest
import torch

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.export.exportable import ExportableModel
from mtl.export.onnx_file import OnnxModel, write_onnx
from mtl.export.pt2_file import Pt2Model, write_pt2
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.regression import RegressionHead
from mtl.model import MultiTaskModel
from mtl.task import Task


@pytest.fixture
def model() -> MultiTaskModel:
    torch.manual_seed(0)
    trunk = ResidualFPN(width=4, pyramid_width=8)
    heads = {
        "kind": ClassificationHead(Task("kind", "classification", 3), trunk.spec),
        "count": RegressionHead(Task("count", "regression"), trunk.spec),
    }
    return MultiTaskModel(trunk, heads).eval()


def test_outputs_are_those_of_predict_by_name(model: MultiTaskModel) -> None:
    ready = ExportableModel(model, size=(32, 48))
    example = ready.example(2)
    assert {name: tuple(value.shape) for name, value in example.items()} == {"image": (2, 3, 32, 48)}
    outputs = dict(zip(ready.output_names, ready(*example.values()), strict=True))
    predictions = model.predict(example)
    assert set(outputs) == {f"{task}_{key}" for task, found in predictions.items() for key in found}
    torch.testing.assert_close(outputs["count_values"], predictions["count"]["values"])


def test_the_model_itself_stays_as_it_is(model: MultiTaskModel) -> None:
    before = {name: value.stride() for name, value in model.named_parameters()}
    ready = ExportableModel(model, ["count"], size=(32, 32))
    assert list(ready.model.heads) == ["count"]
    assert list(model.heads) == ["kind", "count"]
    assert all(p.requires_grad for p in model.parameters())
    assert {name: value.stride() for name, value in model.named_parameters()} == before


def test_images_of_any_size_are_stretched_inside(model: MultiTaskModel) -> None:
    ready = ExportableModel(model, size=(32, 32), resize_inside=True)
    plain = ExportableModel(model, size=(32, 32))
    image = plain.example(2)["image"]
    for here, there in zip(ready(image), plain(image), strict=True):
        torch.testing.assert_close(here, there)  # the right size already
    large = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert all(value.isfinite().all() for value in ready(large))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["kinds"], "size": (32, 32)}, "no task 'kinds'; it has kind, count. Did you mean 'kind'"),
        ({"tasks": [], "size": (32, 32)}, "no task is left"),
        ({}, "for a height and a width"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    model: MultiTaskModel, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ExportableModel(model, **arguments)  # type: ignore[arg-type]


def test_a_head_that_searches_step_by_step_is_refused_by_name(model: MultiTaskModel) -> None:
    model.head("kind").exportable = False
    with pytest.raises(ValueError, match="task 'kind': ClassificationHead searches.*export the other tasks: count"):
        ExportableModel(model, size=(32, 32))
    assert ExportableModel(model, ["count"], size=(32, 32)).tasks == ["count"]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_file_takes_images_in_the_form_of_the_data(
    model: MultiTaskModel, form: str, inside: bool, tmp_path: Path
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    ready = ExportableModel(model, size=(32, 32), resize_inside=inside, float_images=True)
    path = tmp_path / f"model.{form}"
    (write_onnx if form == "onnx" else write_pt2)(ready, path)
    file = OnnxModel(path, threads=1) if form == "onnx" else Pt2Model(path)
    whole = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = model.predict({"image": whole.float() / 255})
    for image in (whole.float() / 255, whole):  # as the data has them, and as a picture is read
        found = file({"image": image})
        torch.testing.assert_close(found["count_values"], expected["count"]["values"])
