"""A table run prints and writes baselines that are scikit-learn's, its subgroups with their sizes, and a picture."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mtl.backbones.table.mlp import TableMLP
from mtl.callbacks.tracking.table_report import TableReport
from mtl.data.table.csv_table import CsvTable
from mtl.evaluation.tables.table_report import whole_split
from mtl.heads.whole.calibrated import CalibratedHead
from mtl.heads.whole.regression import RegressionHead
from mtl.module import MultiTaskLightningModule
from tests.unit.callbacks.conftest import tiny_trainer


def table(folder: Path, **arguments: object) -> CsvTable:
    rng = np.random.default_rng(0)
    rows = ["x,y,ill,dose,site,age,patient"]
    for index in range(160):
        x, y = rng.normal(size=2).round(3)
        ill = int(x + 0.5 * rng.normal() > 0)
        rows.append(f"{x},{y},{ill},{2 * x + y:.3f},{'abcd'[index % 4]},{20 + index % 60},p{index // 2}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return CsvTable(
        str(folder / "table.csv"),
        {  # type: ignore[arg-type]
            "ill": {"classes": ["0", "1"], "only_where": {"site": ["a", "c", "d"]}},
            "old": {"column": "age", "classes": ["young", "old"], "edges": [50]},
            "dose": {"kind": "regression"},
        },
        numeric=["x", "y"],
        split_column="site",
        split_cells={"train": ["a", "b"], "val": ["c"], "test": ["d"]},
        group="site",
        subgroups={"age": [40, 60], "patient": None},
        **arguments,
    )


def test_baselines_subgroups_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = table(tmp_path)
    torch.manual_seed(0)
    heads = {"ill": CalibratedHead, "dose": RegressionHead}
    module = MultiTaskLightningModule(data.tasks, TableMLP, heads, dict(data.inputs))
    trainer = tiny_trainer([TableReport(unit="patient", resamples=50, run_dir=tmp_path)], max_steps=3)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    with (tmp_path / "baselines.csv").open() as file:
        every = list(csv.DictReader(file))
    lines = {(row["task"], row["who"]): row for row in every if row["metric"] in ("auroc", "mae")}
    assert set(lines) == {(t, w) for t in heads for w in ("network", "linear", "boosting")}
    train, test = whole_split(data, "train"), whole_split(data, "test")
    ready = {n: module.model.inputs["row"](b)["row"].numpy() for n, b in (("train", train), ("test", test))}
    known = train["labelled/ill"].numpy()
    assert known.sum() == 40, "the other hospital has no label"
    fitted = LogisticRegression(max_iter=2000).fit(ready["train"][known], train["ill"].numpy()[known])
    expected = roc_auc_score(test["ill"], fitted.predict_proba(ready["test"])[:, 1])
    assert float(lines["ill", "linear"]["value"]) == pytest.approx(expected, abs=1e-4)
    own = trainer.callback_metrics
    assert float(lines["ill", "network"]["value"]) == pytest.approx(float(own["test/ill/auroc"]), abs=1e-4)
    assert float(lines["dose", "network"]["value"]) == pytest.approx(float(own["test/dose/mae"]), abs=1e-4)
    for row in every:
        if row["who"] == "network":
            logged = float(own[f"test/{row['task']}/{row['metric']}"])
            assert float(row["value"]) == pytest.approx(logged, abs=1e-4), row["metric"]
    metrics = {row["metric"] for row in every if row["task"] == "ill"}
    assert metrics == {"auroc", "auprc", "brier", "calibration_error", "sensitivity_at_90_specificity"}
    assert float(lines["dose", "linear"]["gap_low"]) > 0, "three steps are worse than ridge regression"
    with (tmp_path / "subgroups.csv").open() as file:
        parts = [row for row in csv.DictReader(file) if (row["task"], row["metric"]) == ("ill", "brier")]
    assert {row["who"] for row in parts} == {"age = below 40", "age = 40 to 60", "age = 60 and above"}
    assert sum(int(row["rows"]) for row in parts) == 40
    assert sum(int(row["positive"]) for row in parts) == int(test["ill"].sum())
    for name in ("reliability", "net_benefit"):
        assert (tmp_path / "pictures" / f"{name}.png").stat().st_size > 5000
    printed = capsys.readouterr().out
    assert "dose, mae" in printed
    assert "…" not in printed, "numbers are not cut"
    assert "age = 60 and above" in printed


def test_says_what_does_not_fit(tmp_path: Path) -> None:
    data = table(tmp_path)
    module = MultiTaskLightningModule(data.tasks, TableMLP, {"ill": CalibratedHead}, dict(data.inputs))
    with pytest.raises(ValueError, match="unit='person', which is not among the subgroups of the data: age, patient"):
        tiny_trainer([TableReport(unit="person")]).fit(module, datamodule=data)
    with pytest.raises(ValueError, match="split_cells says what the cells of `split_column` mean"):
        CsvTable("t.csv", {}, numeric=["x"], fractions=[0.5, 0.5], split_cells={"train": ["a"]})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"train": ["a"], "tset": ["b"]}, "has a split 'tset'"),
        ({"train": ["a"], "test": ["a"]}, "'a' in 'train' and in 'test'"),
        ({"train": ["a"], "test": ["z"]}, "no row has 'z' in column 'site'"),
    ],
)
def test_cells_of_splits_are_checked(tmp_path: Path, cells: dict[str, list[str]], message: str) -> None:
    data = table(tmp_path)
    data.split_settings["split_cells"] = cells
    with pytest.raises(ValueError, match=message):
        data.setup("fit")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"classes": ["0", "1"], "edges": [1, 2]}, "one fewer than its 2 classes"),
        ({"classes": ["0", "1", "2"], "edges": [2, 1]}, "ascending"),
        ({"kind": "regression", "edges": [2]}, "kind 'regression'"),
    ],
)
def test_edges_are_checked(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CsvTable.declare_tasks(column_tasks={"t": spec})
