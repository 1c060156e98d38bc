"""`new --trunk`: the config starts from trained weights, of torchvision or of a run, and its heads fit."""

from pathlib import Path

import pytest
import torch
import yaml

from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.evaluation.data.trunk import Trunk, trunk_of
from mtl.evaluation.load import load_run
from tests.contract.kit.folders import voc_in_one_folder

ROOT = Path(__file__).resolve().parents[3]
FEW = ["--tracking.wandb", "off", "--trainer.max_steps", "1", "--data.batch_size", "4"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    voc_in_one_folder(Path("pictures"))
    return Path("pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step, of digits, with boxes and a class."""
    root = tmp_path_factory.mktemp("runs")
    sizes = [f"--data.num_{split}=8" for split in ("train", "val", "test")]
    flags = ["--runs_root", str(root), "--experiment", "digits", "--name", "one", *sizes, *FEW]
    assert main(["fit", "--config", str(ROOT / "configs/digits.yaml"), *flags]) == 0
    return root / "digits/one"


def test_a_config_starts_from_the_trunk_of_a_run(folder: Path, run: Path) -> None:
    assert main(["new", str(folder), "--to", "mine.yaml", "--trunk", str(run)]) == 0
    config = read_config([Path("mine.yaml")])
    assert config.get(("model", "init_from", "run")) == str(run)
    assert main(["fit", "--config", "mine.yaml", "--name", "two", *FEW, "--model.optim.optimizer.lr", "0"]) == 0
    trained, source = load_run("runs/mine/two", "last").model.trunk, load_run(run, "last").model.trunk
    weights = dict(source.named_parameters())
    assert all(torch.equal(value, weights[name]) for name, value in trained.named_parameters())


def test_a_network_of_torchvision_comes_with_its_weights_and_a_lower_rate(folder: Path) -> None:
    assert main(["new", str(folder), "--to", "mine.yaml", "--trunk", "resnet18"]) == 0
    config = read_config([Path("mine.yaml")])
    assert config.get(("model", "backbone", "init_args"))["weights"] == "DEFAULT"
    assert config.get(("model", "optim", "optimizer", "init_args"))["lr"] == 1e-3
    random = ["--model.backbone.init_args.weights", "null", "--data.image_size", "[32, 32]"]
    assert main(["fit", "--config", "mine.yaml", "--name", "two", *FEW, *random]) == 0


def test_a_run_with_fetched_weights_is_built_without_fetching(folder: Path, run: Path, tmp_path: Path) -> None:
    arguments = {"name": "resnet18", "weights": "DEFAULT", "levels": ["p3"]}
    backbone = {"class_path": "TorchvisionBackbone", "init_args": arguments}
    copy = tmp_path / "copy"
    (copy / "checkpoints").mkdir(parents=True)
    (copy / "checkpoints/best.ckpt").symlink_to(run / "checkpoints/last.ckpt")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["backbone"] = backbone
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    assert trunk_of(str(copy)).init_args == {**arguments, "weights": None}


def test_heads_choose_their_levels_where_the_trunk_lacks_the_proposed_ones() -> None:
    proposed = {"cls": ("ClassificationHead", {"levels": ["c4", "p2"], "hidden": 8}), "boxes": ("CenterNetHead", {})}
    assert Trunk().heads(proposed) == proposed
    assert Trunk(levels=("c5", "p2")).heads(proposed)["cls"] == ("ClassificationHead", {"hidden": 8})


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        ("resnet81", "no folder 'resnet81', and .*Did you mean 'resnet18'.*or the folder of a run"),
        ("pictures", "has no config.yaml, so it is no run"),
    ],
)
def test_a_trunk_that_is_not_there_says_what_may_be(trunk: str, message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trunk_of(trunk)


def test_a_run_that_reads_no_picture_has_no_trunk_for_pictures(
    folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_run(run)
    del model.model.inputs["image"]
    monkeypatch.setattr("mtl.evaluation.load.load_run", lambda _: model)
    with pytest.raises(ValueError, match="pictures need the trunk"):
        trunk_of(str(run))
