"""Gradient cosines of each layer and checkpoint, where the gradients are known: losses are linear in the weights."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mtl.affinity.sharing.findings_files import write_findings
from mtl.affinity.sharing.layer_cosines import LayerCosines
from mtl.affinity.sharing.sharing_measure import Inside
from mtl.balancing.engine.partition import partition
from mtl.task import Task

TASKS = {name: Task(name, "regression") for name in ("a", "b")}


class Linear(nn.Module):
    """The gradient of each task at each layer is a row of `gradients`, times the batch's factor."""

    def __init__(self, gradients: dict[str, dict[str, list[float]]]) -> None:
        super().__init__()
        self.gradients = gradients
        self.trunk = nn.Module()
        self.trunk.backbone = nn.ModuleDict({"first": nn.Linear(2, 1, bias=False), "second": nn.Linear(2, 1, False)})
        self.own = nn.Linear(1, 1)  # of task a alone

    def partition(self) -> Any:
        return partition(list(self.trunk.parameters()), {"a": list(self.own.parameters()), "b": []})

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return batch

    def losses(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        layers = dict(self.trunk.backbone.named_children())  # type: ignore[operator, union-attr]
        return {
            task: batch["factor"] * sum((torch.tensor(g) * layers[n].weight[0]).sum() for n, g in of.items())
            for task, of in self.gradients.items()
        }


def test_known_gradients_give_known_cosines_a_file_and_a_picture(tmp_path: Path) -> None:
    early = Linear({"a": {"first": [3.0, 4.0], "second": [1.0, 0.0]}, "b": {"first": [5.0, 0.0], "second": [-2.0, 0]}})
    late = Linear({"a": {"first": [1.0, 1.0], "second": [0.0, 1.0]}, "b": {"first": [-1.0, 1.0], "second": [1.0, 1]}})
    batches: Any = [{"factor": torch.tensor(2.0)}, {"factor": torch.tensor(0.5)}]  # cosines know no lengths
    models: Any = {300: late, 100: early}
    found = LayerCosines().measure(Inside(TASKS, batches, checkpoints=models))
    known = {(100, "first"): 0.6, (100, "second"): -1.0, (300, "first"): 0.0, (300, "second"): 0.5**0.5}
    assert {(one.step, one.level): one.value for one in found} == pytest.approx(known, abs=1e-5)
    assert [one.level for one in found] == ["first", "second"] * 2, "in the order of the model"
    files = write_findings({LayerCosines: found}, tmp_path)
    assert [file.name for file in files] == ["LayerCosines.csv", "LayerCosines.png"]
    with files[0].open() as file:
        rows = list(csv.DictReader(file))
    assert {(int(row["step"]), row["level"]): float(row["value"]) for row in rows} == pytest.approx(known, abs=1e-5)
    with Image.open(files[1]) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}  # type: ignore[union-attr]
    assert (103, 0, 31) in colours, "a cosine of -1 has the darkest red of the map"


def test_a_layer_that_one_task_does_not_reach_has_no_cosine() -> None:
    model: Any = Linear({"a": {"first": [3.0, 4.0]}, "b": {"first": [3.0, 4.0], "second": [1.0, 1.0]}})
    batches: Any = [{"factor": torch.tensor(1.0)}]
    values = {one.level: one.value for one in LayerCosines().measure(Inside(TASKS, batches, checkpoints={1: model}))}
    assert values["first"] == pytest.approx(1.0, abs=1e-5)
    assert not abs(values["second"]) > 0, "0, or unknown"
