import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.evaluation.load import as_in_training, load_checkpoint, load_run
from mtl.heads.detection.centernet import CenterNetHead
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_checkpoint

SETTINGS: dict[str, Any] = {
    "tasks": {"boxes": {"name": "boxes", "kind": "detection", "num_classes": 2, "class_names": ["a", "b"]}},
    "backbone": {
        "class_path": "mtl.backbones.image.residual_fpn.ResidualFPN",
        "init_args": {"width": 4, "pyramid_width": 8},
    },
    "heads": {"boxes": {"class_path": "mtl.heads.detection.centernet.CenterNetHead"}},
}


class _Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hacked",)


def make_run(folder: Path, **changes: Any) -> Path:
    """A run folder whose checkpoint holds a tiny model."""
    from mtl.backbones.image.residual_fpn import ResidualFPN
    from mtl.task import Task

    task = Task("boxes", "detection", class_names=("a", "b"))
    model = MultiTaskLightningModule({"boxes": task}, ResidualFPN(width=4, pyramid_width=8), {"boxes": CenterNetHead})
    state = {"state_dict": model.state_dict(), "hyper_parameters": {**SETTINGS, "_instantiator": "x.y"}, **changes}
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(state, folder / "checkpoints" / "best.ckpt")
    return folder


def test_a_run_gives_its_model_back(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    model = load_run(run)
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not model.training
    assert model.tasks["boxes"].class_names == ("a", "b")
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_a_missing_run_or_checkpoint_is_told_with_what_there_is(tmp_path: Path) -> None:
    run = make_run(tmp_path / "first")
    with pytest.raises(FileNotFoundError, match=r"no run folder .*firts'\. Did you mean 'first'\?"):
        load_run(tmp_path / "firts")
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint 'last.ckpt'; it has best"):
        find_checkpoint(run, "last")
    with pytest.raises(FileNotFoundError, match="is no run folder: it has neither config.yaml nor checkpoints"):
        find_checkpoint(tmp_path)
    (tmp_path / "second").mkdir()
    (tmp_path / "second/config.yaml").touch()
    with pytest.raises(FileNotFoundError, match="it has none. Did the run stop before its first validation"):
        find_checkpoint(tmp_path / "second")
    with pytest.raises(FileNotFoundError, match=r"Did you mean 'best.ckpt'\? .* holds best.ckpt\."):
        checkpoint_file(run / "checkpoints" / "bets.ckpt")


def test_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="is an address; download it"):
        load_checkpoint("http://somewhere/best.ckpt")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run") / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"best.ckpt' \(1,000 bytes\) is damaged or no checkpoint"):
        read_checkpoint(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="is damaged"):
        read_checkpoint(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "run", extra=_Hostile())
    with pytest.raises(ValueError, match="holds Python objects that could run code; only plain values are read"):
        load_run(run)
    assert not (tmp_path / "hacked").exists()


def test_a_foreign_class_in_a_checkpoint_is_not_imported(tmp_path: Path) -> None:
    hostile = {**SETTINGS, "backbone": {"class_path": "antigravity.fly"}}
    with pytest.raises(
        ValueError, match=r"written by an older mtl, .* cannot be rebuilt here: refused to import 'antigravity.fly'"
    ):
        load_run(make_run(tmp_path / "run", hyper_parameters=hostile))


def test_a_checkpoint_of_other_code_is_told(tmp_path: Path) -> None:
    head = {"class_path": "mtl.heads.detection.centernet.CenterNetHead", "init_args": {"gone": 1}}
    settings = {**SETTINGS, "heads": {"boxes": head}}
    with pytest.raises(ValueError, match=r"written by an older mtl, read by mtl .*has no setting 'gone'"):
        load_run(make_run(tmp_path / "run", hyper_parameters=settings))


def test_a_checkpoint_without_settings_or_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"by an older mtl, read by mtl .* does not say how its model is built"):
        load_run(make_run(tmp_path / "run", hyper_parameters={}))
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="it has no 'state_dict'"):
        read_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    ("second", "known"),
    [
        ("{image_size: [64, 96], fit: stretch}", {"image_size": [64, 96], "fit": "stretch"}),
        ("{image_size: [64, 96], fit: letterbox}", {"image_size": [64, 96]}),
    ],
)
def test_pictures_of_several_data_sets_are_read_as_all_of_them_were(
    tmp_path: Path, second: str, known: dict[str, Any]
) -> None:
    parts = "{a: {class_path: A, init_args: {image_size: [64, 96], fit: stretch}}, b: {class_path: B, init_args: %s}}"
    text = f"data: {{class_path: MixedData, init_args: {{parts: {parts % second}}}}}"
    (tmp_path / "config.yaml").write_text(text)
    assert as_in_training(tmp_path) == known
