"""Which loggers a run gets."""

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mtl.callbacks.tracking.loggers import Tracking, make_loggers
from mtl.callbacks.tracking.wandb_run import WandbRun
from mtl.runs.metrics_csv import MetricsCSV

ROOT = Path(__file__).resolve().parents[4]


def test_off_means_the_csv_alone(tmp_path: Path) -> None:
    (logger,) = make_loggers(tmp_path, "e", "n", {}, Tracking(wandb="off"))
    assert isinstance(logger, MetricsCSV)
    assert logger.path == tmp_path / "metrics.csv"


def test_making_loggers_touches_neither_disk_nor_network(tmp_path: Path) -> None:
    _, logger = make_loggers(tmp_path / "run", "digits", "n", {"a": 1}, Tracking(tags=["x"]))
    assert isinstance(logger, WandbRun)
    assert logger._wandb_init["project"] == "digits"
    assert logger._wandb_init["config"] == {"a": 1}
    assert not (tmp_path / "run").exists()


def test_a_project_of_its_own_replaces_the_experiment(tmp_path: Path) -> None:
    _, logger = make_loggers(tmp_path, "digits", "n", {}, Tracking(project="paper", entity="lab"))
    assert isinstance(logger, WandbRun)
    assert (logger._wandb_init["project"], logger._wandb_init["entity"]) == ("paper", "lab")


def test_without_the_package_auto_writes_the_csv_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # so that an import fails
    monkeypatch.setattr(logging.getLogger("mtl"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        (logger,) = make_loggers(tmp_path, "e", "n", {}, Tracking())
    assert isinstance(logger, MetricsCSV)
    assert "wandb is not installed" in caplog.text


@pytest.mark.slow
def test_every_module_is_imported_where_wandb_is_not_installed() -> None:
    program = (
        "import importlib, pkgutil, sys; sys.modules['wandb'] = None; import mtl\n"
        "for module in pkgutil.walk_packages(mtl.__path__, 'mtl.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tensorboard_writes_beside_the_others_into_the_folder_of_the_run(tmp_path: Path) -> None:
    if not any(importlib.util.find_spec(name) for name in ("tensorboard", "tensorboardX")):
        pytest.skip("neither tensorboard nor tensorboardX is installed")
    run = tmp_path / "run"
    _, logger = make_loggers(run, "e", "n", {}, Tracking(wandb="off", tensorboard=True))
    assert not run.exists()
    logger.log_metrics({"train/loss": 1.0}, 0)
    logger.finalize("success")
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


def test_tensorboard_that_is_not_installed_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r'pip install "mtl\[tensorboard\]"'):
        Tracking(wandb="off", tensorboard=True)
