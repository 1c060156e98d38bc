"""Weights of another run as a start: what is taken, what is not, and what is refused."""

import logging
from pathlib import Path

import pytest
import torch

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.cli.main import main
from mtl.evaluation.load import load_run
from mtl.runs.checkpoint_files import read_checkpoint
from mtl.runs.initial_weights import InitialWeights
from tests.contract.kit.runs import module


def test_the_trunk_is_taken_and_the_heads_are_not(trained: Path) -> None:
    other = load_run(trained).model
    fresh = load_run(trained).model
    with torch.no_grad():
        for value in fresh.parameters():
            value += 1
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    InitialWeights(str(trained)).load_into(fresh)
    for name, value in fresh.state_dict().items():
        expected = other.state_dict()[name] if name.startswith("trunk.") else before[name]
        assert torch.equal(value, expected), name


def test_it_says_what_was_taken_missing_and_left(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mtl.runs.initial_weights"):
        model = module().model  # has heads that the run lacks, and classifies without hidden units
        InitialWeights(str(trained), ["trunk", "heads"]).load_into(model)
    trunk, heads = [record.getMessage() for record in caplog.records]
    assert "tensors of 'trunk' taken" in trunk
    assert "missing" not in trunk
    assert "missing there: heads." in heads
    assert "left there: heads." in heads


def test_what_matches_nowhere_is_refused(trained: Path, tmp_path: Path) -> None:
    model = module().model
    with pytest.raises(ValueError, match=r"this model has no part 'trunc'; .*Did you mean 'trunk'"):
        InitialWeights(str(trained), ["trunc"]).load_into(model)
    with pytest.raises(ValueError, match=r"best.ckpt' has no part 'heads.count'"):
        InitialWeights(str(trained), ["heads.count"]).load_into(model)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        InitialWeights(str(tmp_path / "nowhere")).load_into(model)


def test_another_width_is_refused_with_the_shapes(trained: Path) -> None:
    model = module(ResidualFPN(width=6, pyramid_width=10)).model
    state = read_checkpoint(trained / "checkpoints/best.ckpt")["state_dict"]
    convolution = "trunk.backbone.lateral.0"
    assert f"model.{convolution}.weight" in state
    with pytest.raises(ValueError, match=r"no weight of part .*is \[10, 6, 1, 1\] here and \[8, 4, 1, 1\] there"):
        InitialWeights(str(trained), [convolution]).load_into(model)


def test_a_run_starts_from_it_and_a_resumed_run_does_not(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parents[2])
    flags = [f"--model.init_from.run={trained}", "--trainer.limit_val_batches=1", "--test_after_fit=false"]
    still = ["--trainer.max_steps=1", "--model.optim.optimizer.init_args.lr=1e-30"]
    assert main(["fit", "--config", "tiny.yaml", "--name", "second", *flags, *still, "--seed_everything=7"]) == 0
    second = trained.parent / "second"
    first, started = load_run(trained).model, load_run(second, "last").model
    torch.testing.assert_close(first.trunk.backbone.lateral[0].weight, started.trunk.backbone.lateral[0].weight)  # type: ignore[union-attr,index]
    loaded: list[str] = []
    monkeypatch.setattr(InitialWeights, "load_into", lambda self, model: loaded.append(self.run))
    assert main(["fit", "--resume", str(second), "--trainer.max_steps=2"]) == 0
    assert not loaded
