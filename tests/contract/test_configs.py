"""Every config in `configs/` is parsed, trains one step in process, and its checkpoint rebuilds the model.

`pytest --contract my_paper/configs/mine.yaml` tests a config of your own.
"""

import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from jsonargparse._common import parsing_settings

from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.config.schema import find_class, parameters
from mtl.data.module import JointDataModule
from mtl.evaluation.load import load_run
from tests.contract.kit.found import found_configs
from tests.contract.kit.places import flags_of_places

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = found_configs(ROOT.glob("configs/*.yaml"))

TRAINER = {
    "max_steps": 1,
    "limit_train_batches": 1,
    "limit_val_batches": 1,
    "limit_test_batches": 1,
    "num_sanity_val_steps": 0,
    "check_val_every_n_epoch": 1,
    "accelerator": "cpu",
    "devices": 1,
}
# as far as a data set knows them
DATA = {"num_train": 8, "num_val": 4, "num_test": 4, "batch_size": 2, "eval_batch_size": 2, "cache": "false"}


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    settings = deepcopy(parsing_settings)
    before = os.environ.pop("MTL_RUN_DIR", None)
    yield
    parsing_settings.clear()
    parsing_settings.update(settings)
    os.environ.pop("MTL_RUN_DIR", None)
    if before is not None:
        os.environ["MTL_RUN_DIR"] = before


def test_there_is_a_quick_start() -> None:
    assert ROOT / "configs" / "digits.yaml" in CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains_a_step_and_its_checkpoint_rebuilds_the_model(path: Path, tmp_path: Path) -> None:
    config = read_config([path])
    data = find_class(str(config.get(("data", "class_path")) or config.get(("data",))), JointDataModule)
    assert data is not None
    flags: dict[str, object] = {f"trainer.{name}": value for name, value in TRAINER.items()}
    flags |= flags_of_places(config)
    flags |= {f"data.{name}": value for name, value in DATA.items() if name in parameters(data)}
    for part, settings in (config.get(("data", "init_args", "parts")) or {}).items():
        inside = f"data.init_args.parts.{part}.init_args"
        flags |= {f"{inside}.{name}": value for name, value in DATA.items() if name in settings.get("init_args", {})}
    flags |= {"runs_root": tmp_path, "name": "step", "tracking.wandb": "off"}
    assert main(["fit", "--config", str(path), *(f"--{name}={value}" for name, value in flags.items())]) == 0
    run = tmp_path / path.stem / "step"
    assert (run / "results.json").is_file()
    model = load_run(run)
    heads = config.get(("model", "heads")).items()
    assert list(model.tasks) == [name for name, head in heads if head is not None]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values() if value.is_floating_point())
    astray = {"lightning_logs", "checkpoints", "wandb", "pictures", "metrics.csv"} & {
        path.name for path in ROOT.iterdir()
    }
    assert not astray, "a run writes into its own folder only"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_of_data_that_is_elsewhere_says_where_it_is_from(path: Path) -> None:
    root = read_config([path]).get(("data", "init_args", "root"))
    if root is None or path.parent != ROOT / "configs":
        return
    comment = "".join(line for line in path.read_text("utf-8").splitlines(True) if line.startswith("#"))
    assert f"python -m mtl data {Path(root).name} --to {root}" in comment or "github.com/" in comment


def test_every_config_says_in_its_first_line_what_it_is_for() -> None:
    silent = [path.name for path in CONFIGS if not path.read_text().startswith("# ")]
    assert not silent
