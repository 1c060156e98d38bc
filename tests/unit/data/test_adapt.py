"""Inputs that learn from training samples: rank 0 reads, all ranks get the same; a checkpoint wins over the data."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from mtl.backbones.table.mlp import TableMLP
from mtl.data.adapt import adapt_inputs
from mtl.data.table.csv_table import CsvTable
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.table import TableInput
from mtl.module import MultiTaskLightningModule
from mtl.task import InputSpec
from tests.conftest import RunRanks
from tests.contract.kit.runs import trainer


def broadcast(values: Any) -> Any:
    listed = [values]
    dist.broadcast_object_list(listed)
    return listed[0]


def adapted(rank: int, fails: bool) -> dict[str, Tensor] | str:
    def values(name: str) -> Iterator[Tensor]:
        assert rank == 0, "only rank 0 reads"
        yield torch.tensor([1.0, torch.inf if fails else 2.0])
        yield torch.tensor([3.0, 6.0] if not fails else [0.0])  # of another length

    prepare = TableInput(InputSpec("row", "table", 2))
    stand_in: Any = SimpleNamespace(
        world_size=2, is_global_zero=rank == 0, strategy=SimpleNamespace(broadcast=broadcast)
    )
    try:
        adapt_inputs(SimpleNamespace(training_values=values), {"row": prepare}, stand_in)  # type: ignore[arg-type]
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    return dict(prepare.state_dict())


@pytest.mark.ddp
def test_ranks_get_what_rank_0_learned_or_its_error(run_ranks: RunRanks) -> None:
    first, second = run_ranks(adapted, False)
    assert first["mean"].tolist() == second["mean"].tolist() == [2.0, 4.0]
    assert first["scale"].tolist() == second["scale"].tolist() == [1.0, 0.5]
    first, second = run_ranks(adapted, True)
    assert "equal size" in first
    assert second.startswith("RuntimeError: rank 0 could not prepare input 'row'")


def table(folder: Path, ages: list[int]) -> CsvTable:
    lines = [f"{age},{i % 2},{'train' if i < len(ages) - 1 else 'val'}" for i, age in enumerate(ages)]
    (folder / "t.csv").write_text("\n".join(["age,ill,part", *lines]) + "\n")
    tasks: dict[str, Any] = {"ill": {"classes": ["0", "1"]}}
    return CsvTable(str(folder / "t.csv"), tasks, numeric=["age"], split_column="part", batch_size=2)


def test_a_resumed_training_keeps_the_mean_of_its_checkpoint(tmp_path: Path) -> None:
    def module() -> MultiTaskLightningModule:
        data = table(tmp_path, [0, 10, 5])
        return MultiTaskLightningModule(
            data.tasks, TableMLP(data.inputs, (4,)), {"ill": ClassificationHead}, dict(data.inputs)
        )

    first = module()
    run = trainer([], max_epochs=1)
    run.fit(first, table(tmp_path, [0, 10, 5]))
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert first.model.inputs["row"].mean.tolist() == [5, 0]
    other = module()
    trainer([], max_epochs=2).fit(
        other, table(tmp_path, [100, 300, 5]), ckpt_path=tmp_path / "a.ckpt", weights_only=True
    )
    assert other.model.inputs["row"].mean.tolist() == [5, 0]
