"""The table configs, trained as they stand, beside logistic and ridge regression on the same rows."""

import csv
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse._common import parsing_settings
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score

from mtl.batch import collate
from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.data.table.module import TableDataModule
from mtl.evaluation.build import build_data
from mtl.evaluation.load import load_run
from mtl.module import MultiTaskLightningModule
from tests.contract.kit.places import flags_of_places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    settings = deepcopy(parsing_settings)
    yield
    parsing_settings.clear()
    parsing_settings.update(settings)
    os.environ.pop("MTL_RUN_DIR", None)


def trained(config: str, folder: Path, **flags: Any) -> tuple[MultiTaskLightningModule, TableDataModule]:
    path = ROOT / "configs" / config
    flags = {
        "runs_root": folder,
        "name": "run",
        "tracking.wandb": "off",
        **flags_of_places(read_config([path])),
        **flags,
    }
    assert main(["fit", "--config", str(path), *(f"--{name}={value}" for name, value in flags.items())]) == 0
    run = folder / path.stem / "run"
    data = build_data(read_config([run / "config.yaml"]))
    assert isinstance(data, TableDataModule)
    data.setup("fit")
    data.setup("test")
    return load_run(run), data


def rows(model: MultiTaskLightningModule, data: TableDataModule, split: str) -> tuple[Any, Any]:
    """Standardised inputs, and the batch of a whole split."""
    part = getattr(data, f"{split}_set")
    batch = collate([part[i] for i in range(len(part))], data.tasks, data.inputs)
    return model.model.inputs["row"](batch)["row"].numpy(), batch


@pytest.mark.slow
def test_heart_disease_is_as_good_as_logistic_regression(tmp_path: Path) -> None:
    model, data = trained("heart_disease.yaml", tmp_path)
    assert not [name for name in data.inputs["row"].names if name.split("=")[0] in ("num", "disease", "exang", "site")]
    fitted, test = rows(model, data, "train"), rows(model, data, "test")
    predictions = model.model.predict(test[1])
    for name in ("disease", "angina"):
        known = fitted[1][f"labelled/{name}"].numpy(), test[1][f"labelled/{name}"].numpy()
        labels = test[1][name].numpy()[known[1]]
        line = LogisticRegression(max_iter=2000).fit(fitted[0][known[0]], fitted[1][name].numpy()[known[0]])
        theirs = roc_auc_score(labels, line.predict_proba(test[0][known[1]])[:, 1])
        ours = roc_auc_score(labels, predictions[name]["probabilities"][:, 1].numpy()[known[1]])
        print(f"{name}: AUROC {ours:.3f}, logistic regression {theirs:.3f}, {len(labels)} rows")  # noqa: T201
        assert ours >= theirs - 0.02, name
        assert ours >= {"disease": 0.84, "angina": 0.75}[name]


@pytest.mark.nightly
@pytest.mark.parametrize("config", ["heart.yaml", "heart_sites.yaml"])
def test_no_task_of_the_hospitals_is_behind_linear_models(config: str, tmp_path: Path) -> None:
    trained(config, tmp_path)
    with (tmp_path / config.removesuffix(".yaml") / "run" / "baselines.csv").open() as file:
        judged = [row for row in csv.DictReader(file) if row["metric"] in ("auroc", "qwk", "mae")]
    lines = {(row["task"], row["who"]): row for row in judged}
    found = {task: float(row["value"]) - float(lines[task, "linear"]["value"]) for (task, who), row in lines.items()
             if who == "network" and row["metric"] in ("auroc", "qwk")}  # fmt: skip
    print(found)  # noqa: T201
    assert len(found) >= 4
    assert min(found.values()) >= -0.02


@pytest.mark.slow
def test_the_bundled_table_is_as_good_as_linear_models(tmp_path: Path) -> None:
    model, data = trained("table.yaml", tmp_path)
    fitted, test = rows(model, data, "train"), rows(model, data, "test")
    predictions = model.model.predict(test[1])
    labels = test[1]["cultivar"].numpy()
    line = LogisticRegression(max_iter=2000).fit(fitted[0], fitted[1]["cultivar"].numpy())
    ours, theirs = (predictions["cultivar"]["labels"].numpy() == labels).mean(), line.score(test[0], labels)
    ridge = Ridge().fit(fitted[0], fitted[1]["alcohol"].numpy())
    values = test[1]["alcohol"].numpy()
    r2, r2_ridge = r2_score(values, predictions["alcohol"]["values"].numpy()), ridge.score(test[0], values)
    print(f"cultivar: {ours:.3f}, logistic {theirs:.3f}; alcohol r2 {r2:.3f}, ridge {r2_ridge:.3f}")  # noqa: T201
    assert ours >= theirs - 0.04  # one row of 36 is .028
    assert r2 >= r2_ridge - 0.1


def test_predict_writes_the_rows_with_the_answers_of_load_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = trained("table.yaml", tmp_path, **{"trainer.max_steps": 6, "trainer.check_val_every_n_epoch": 1})
    assert isinstance(model.model.inputs["row"].scale, torch.Tensor)
    assert not torch.equal(model.model.inputs["row"].scale, torch.ones(24)), "learned in training, kept in a checkpoint"
    table = data.read(["target"])
    columns = [column for column in table.columns if column not in ("target", "alcohol")]
    with (tmp_path / "new.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", *columns])
        writer.writeheader()
        writer.writerows({"id": i, **{c: row[c] for c in columns}} for i, row in enumerate(table.rows[:20]))
    run = ["predict", "--run", str(tmp_path / "table" / "run")]
    assert main([*run, "--table", str(tmp_path / "new.csv"), "--output", str(tmp_path / "out"), "--batch_size=8"]) == 0
    with (tmp_path / "out" / "predictions.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [str(i) for i in range(20)]
    values = torch.from_numpy(data.encode(table))[:20]
    expected = model.model.predict({"row": values})
    assert [row["predicted_cultivar"] for row in found] == [f"class_{i}" for i in expected["cultivar"]["labels"]]
    shown = [float(row["predicted_alcohol"]) for row in found]
    np.testing.assert_allclose(shown, expected["alcohol"]["values"].numpy(), atol=0.006)
    capsys.readouterr()
    faults = {
        ("--table", str(tmp_path / "none.csv")): "there is no file",
        ("--images", str(tmp_path)): "this model takes row (table, 24 channels)",
        (): "needs --images FOLDER",
    }
    for words, message in faults.items():
        assert main([*run, *words]) != 0
        assert message in " ".join(capsys.readouterr().err.split())
    (tmp_path / "new.csv").write_text("id\n1\n")
    assert main([*run, "--table", str(tmp_path / "new.csv")]) == 1
    assert "has no column 'malic_acid'" in capsys.readouterr().err
