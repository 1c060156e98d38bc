"""Files of networks of rows put the training's own values where a cell is missing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mtl.backbones.table.mlp import TableMLP
from mtl.data.table.columns import Columns
from mtl.export.exportable import ExportableModel
from mtl.export.infer import rows
from mtl.export.onnx_file import OnnxModel, write_onnx
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.table import TableInput
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


@pytest.mark.filterwarnings("ignore")
def test_a_missing_flag_is_the_share_of_ones_in_the_file_and_in_its_program(tmp_path: Path) -> None:
    names = Columns(("smoker", "age")).names
    spec = InputSpec("row", "table", names=names)
    torch.manual_seed(0)
    trunk, prepare = TableMLP({"row": spec}, widths=(8,)), TableInput(spec)
    nan = torch.nan
    prepare.adapt(torch.tensor([[1.0, 0, 20, 0], [1, 0, 40, 0], [1, 0, 60, 0], [0, 0, nan, 1], [nan, 1, 40, 0]]))
    dose = Task("dose", "regression")
    model = MultiTaskModel(trunk, {"dose": RegressionHead(dose, trunk.spec)}, {"row": prepare}).eval()
    write_onnx(ExportableModel(model), tmp_path / "model.onnx")
    file = OnnxModel(tmp_path / "model.onnx", threads=1)

    def answers(values: torch.Tensor) -> torch.Tensor:
        return file({"row": values})["dose_values"].flatten()

    missing, mean, zero = (torch.tensor([[smoker, 1, 40.0, 0]]) for smoker in (nan, 0.75, 0.0))
    torch.testing.assert_close(answers(missing), answers(mean))
    assert not torch.allclose(answers(missing), answers(zero), atol=1e-4)
    torch.testing.assert_close(answers(missing), model.predict({"row": missing})["dose"]["values"].flatten())
    about = {"inputs": {"row": {"names": list(names)}}, "tasks": {"dose": {"classes": []}}}
    session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name="row")],
        get_outputs=lambda: [SimpleNamespace(name="dose_values")],
        run=lambda _, values: [answers(torch.from_numpy(values["row"])).numpy()],
    )
    found = rows.predict(session, about, {"smoker": "", "age": "40"})["dose"]["values"]
    assert np.isclose(found, answers(missing).item())
