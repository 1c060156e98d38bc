"""Weights of another run as a start: what is taken, what is not, and what is refused."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.cli.main import main
from mtl.config.foreign_files import UnsafeFile
from mtl.evaluation.load import load_run
from mtl.features import FeatureSpec
from mtl.heads.whole.classification import ClassificationHead
from mtl.runs.checkpoint_files import read_checkpoint
from mtl.runs.class_rows import rows_by_name
from mtl.runs.initial_weights import InitialWeights
from mtl.task import Task
from tests.contract.kit.runs import module


def test_the_trunk_is_taken_and_the_heads_are_not(trained: Path) -> None:
    other = load_run(trained).model
    fresh = load_run(trained).model
    with torch.no_grad():
        for value in fresh.parameters():
            value += 1
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    InitialWeights(str(trained)).read().load_into(fresh)
    for name, value in fresh.state_dict().items():
        expected = other.state_dict()[name] if name.startswith("trunk.") else before[name]
        assert torch.equal(value, expected), name


def test_it_says_what_was_taken_missing_and_left(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mtl.runs.initial_weights"):
        model = module().model  # has heads that the run lacks, and classifies without hidden units
        InitialWeights(str(trained), ["trunk", "heads"]).read().load_into(model)
    trunk, heads = [record.getMessage() for record in caplog.records]
    assert "tensors of 'trunk' taken" in trunk
    assert "missing" not in trunk
    assert "missing there: heads." in heads
    assert "left there: heads." in heads


def test_what_matches_nowhere_is_refused(trained: Path, tmp_path: Path) -> None:
    model = module().model
    with pytest.raises(ValueError, match=r"this model has no part 'trunc'; .*Did you mean 'trunk'"):
        InitialWeights(str(trained), ["trunc"]).read().load_into(model)
    with pytest.raises(ValueError, match=r"best.ckpt' has no part 'heads.count'"):
        InitialWeights(str(trained), ["heads.count"]).read().load_into(model)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        InitialWeights(str(tmp_path / "nowhere")).read().load_into(model)


def test_another_width_is_refused_with_the_shapes(trained: Path) -> None:
    model = module(ResidualFPN(width=6, pyramid_width=10)).model
    state = read_checkpoint(trained / "checkpoints/best.ckpt")["state_dict"]
    convolution = "trunk.backbone.lateral.0"
    assert f"model.{convolution}.weight" in state
    with pytest.raises(ValueError, match=r"no weight of part .*is \[10, 6, 1, 1\] here and \[8, 4, 1, 1\] there"):
        InitialWeights(str(trained), [convolution]).read().load_into(model)


def test_a_run_starts_from_it_and_a_resumed_run_does_not(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parents[2])
    flags = [f"--model.init_from.run={trained}", "--trainer.limit_val_batches=1", "--test_after_fit=false"]
    still = ["--trainer.max_steps=1", "--model.optim.optimizer.init_args.lr=1e-30"]
    assert main(["fit", "--config", "tiny.yaml", "--name", "second", *flags, *still, "--seed_everything=7"]) == 0
    second = trained.parent / "second"
    first, started = load_run(trained).model, load_run(second, "last").model
    torch.testing.assert_close(first.trunk.backbone.lateral[0].weight, started.trunk.backbone.lateral[0].weight)  # type: ignore[union-attr,index]
    loaded: list[str] = []
    monkeypatch.setattr(InitialWeights, "read", lambda self: loaded.append(self.run))
    assert main(["fit", "--resume", str(second), "--trainer.max_steps=2"]) == 0
    assert not loaded


SPEC = FeatureSpec({"c4": 6}, {"c4": 16})


def with_head(*names: str, hidden: int = 0) -> nn.Module:
    """A trunk of one layer and a head for these classes."""
    task = Task("kind", "classification", class_names=names)
    heads = nn.ModuleDict({"kind": ClassificationHead(task, SPEC, hidden=hidden)})
    return nn.ModuleDict({"trunk": nn.ModuleDict({"backbone": nn.Linear(3, 6)}), "heads": heads})


def checkpoint(folder: Path, net: nn.Module, names: Sequence[str]) -> str:
    weights = {f"model.{name}": value for name, value in net.state_dict().items()}
    tasks = {"kind": {"kind": "classification", "class_names": list(names)}}
    state = {"state_dict": weights, "hyper_parameters": {"tasks": tasks}, "global_step": 1}
    torch.save(state, folder / "there.ckpt")
    return str(folder / "there.ckpt")


def last_layer(net: Any) -> tuple[Tensor, Tensor]:
    layer = net["heads"]["kind"].layers[-1]
    return layer.weight.detach().clone(), layer.bias.detach().clone()


@pytest.mark.parametrize("here", [("cat", "ox", "ant"), ("dog", "cat"), ("ant", "dog", "cat")])
def test_classes_of_a_head_are_matched_by_name(here: tuple[str, ...], tmp_path: Path) -> None:
    there = ("ant", "cat", "dog")
    other, own = with_head(*there, hidden=5), with_head(*here, hidden=5)
    (weight, bias), before = last_layer(other), last_layer(own)
    InitialWeights(checkpoint(tmp_path, other, there), ["trunk", "heads"]).read().load_into(own)
    now = last_layer(own)
    for row, name in enumerate(here):
        expected = (
            (weight[there.index(name)], bias[there.index(name)]) if name in there else (before[0][row], before[1][row])
        )
        assert torch.equal(now[0][row], expected[0]), name
        assert torch.equal(now[1][row], expected[1]), name
    hidden = [net["heads"]["kind"].layers[0].weight for net in (own, other)]  # type: ignore[index,union-attr]
    assert torch.equal(*hidden)


def test_a_row_of_no_object_goes_along() -> None:
    ours, theirs = torch.zeros(3, 2), torch.tensor([[1.0, 1], [2, 2], [3, 3], [9, 9]])
    taken = rows_by_name(ours, theirs, ["c", "x"], ["a", "b", "c"])
    assert taken is not None
    assert taken.tolist() == [[3, 3], [0, 0], [9, 9]]
    assert rows_by_name(ours, torch.zeros(3, 5), ["c", "x"], ["a", "b"]) is None
    assert rows_by_name(torch.zeros(7, 2), theirs, ["c", "x"], ["a", "b", "c"]) is None


def test_units_that_could_be_classes_are_taken_by_number_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there, here = ("a", "b", "c"), ("c", "b", "a")
    other, own = with_head(*there, hidden=3), with_head(*here, hidden=3)
    InitialWeights(checkpoint(tmp_path, other, there), ["heads"]).read().load_into(own)
    assert torch.equal(last_layer(own)[0], last_layer(other)[0])
    assert "taken by number, not by name" in caplog.text


def test_a_plain_file_of_weights_finds_the_part_it_belongs_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, own = with_head("a", "b"), with_head("a", "b")
    backbone = whole["trunk"]["backbone"]  # type: ignore[index]
    torch.save(backbone.state_dict(), tmp_path / "backbone.pt")
    with caplog.at_level(logging.INFO, "mtl"):
        InitialWeights(str(tmp_path / "backbone.pt")).read().load_into(own)
    assert torch.equal(own["trunk"]["backbone"].weight, backbone.weight)
    assert "2 of 2 tensors of 'trunk' taken" in caplog.text
    torch.save({"model": {f"module.{name}": v for name, v in whole.state_dict().items()}}, tmp_path / "whole.pth")
    InitialWeights(str(tmp_path / "whole.pth"), ["heads.kind"]).read().load_into(own)
    assert torch.equal(last_layer(own)[0], last_layer(whole)[0])


def test_the_weights_of_a_training_script_are_found_under_its_own_word(tmp_path: Path) -> None:
    whole, own = with_head("a", "b"), with_head("a", "b")
    weights = whole["trunk"]["backbone"].state_dict()  # type: ignore[index]
    torch.save({"model_state_dict": weights, "optimizer": {"state": {}}, "epoch": 3}, tmp_path / "script.pth")
    InitialWeights(str(tmp_path / "script.pth")).read().load_into(own)
    assert torch.equal(own["trunk"]["backbone"].weight, weights["weight"])
    torch.save({"teacher": weights, "student": weights}, tmp_path / "two.pth")
    with pytest.raises(UnsafeFile, match=r"several sets of weights: teacher, student. Save the one that you want"):
        InitialWeights(str(tmp_path / "two.pth")).read().load_into(own)


def test_a_file_that_holds_code_or_no_tensors_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(
        UnsafeFile, match=r"could run code.* save the weights alone: torch.save\(network.state_dict\(\)"
    ):
        InitialWeights(str(tmp_path / "module.pt")).read().load_into(with_head("a", "b"))
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(UnsafeFile, match="does not hold tensors by name"):
        InitialWeights(str(tmp_path / "list.pt")).read().load_into(with_head("a", "b"))
