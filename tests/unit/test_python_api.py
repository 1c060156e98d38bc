"""The five lines of Python: fit a dict, load the run, predict pictures; and a model that was saved without the CLI."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

import mtl
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.config.described import described
from mtl.config.yaml_lines import ConfigError, load_yaml
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.targets.overlay import Boxes
from mtl.task import Task


def test_the_names_of_the_package_are_there_and_others_are_not() -> None:
    assert all(getattr(mtl, name).__name__ == name for name in mtl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        mtl.fti  # noqa: B018


def test_a_dict_trains_and_its_run_predicts_pictures_of_any_size(folder: Path) -> None:
    run = mtl.fit(load_yaml(Path("tiny.yaml"))[0], {"model.optim.warmup_steps": 0}, name="first")
    assert run.folder.name == "first"
    assert "test/score" in run.results
    model = run.load()
    assert (model.image_size, model.fit) == ((32, 32), "letterbox")
    pixels = np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    found = model.predict([folder / "a.png", str(folder / "a.png"), Image.fromarray(pixels), pixels, tensor], 0.0, 2)
    assert len(found) == 5
    for one in found:
        assert one.keys() == {"boxes", "largest"}
        assert one["largest"].answer is not None
        assert one["largest"].answer.predicted == found[0]["largest"].answer.predicted  # type: ignore[union-attr]
        boxes, first = one["boxes"].predicted, found[0]["boxes"].predicted
        assert isinstance(boxes, Boxes)
        assert isinstance(first, Boxes)
        torch.testing.assert_close(boxes.boxes, first.boxes)
        assert (boxes.boxes <= torch.tensor([90.0, 50, 90, 50])).all()
    assert len(model.predict(pixels)) == 1
    with pytest.raises(ValueError, match="float32.*expected uint8"):
        model.predict(torch.zeros(3, 8, 8))


def test_pictures_of_more_than_8_bits_are_read_as_in_training(folder: Path) -> None:
    run = mtl.fit({"base": "tiny.yaml"}, {"trainer.max_steps": 1, "test_after_fit": False}, name="deep")
    model = mtl.load_run(run.folder, "last")
    model.pixel_range = (0.0, 4095.0)  # as `load_run` sets it from the run's config
    light = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    deep = Image.fromarray((light.astype(np.float64) * 4095 / 255).round().astype(np.uint16))
    deep.save(folder / "deep.png")
    from_file, from_pixels = model.predict([folder / "deep.png", np.stack([light] * 3, -1)], 0.0)
    assert from_file["largest"].answer is not None
    assert from_pixels["largest"].answer is not None
    assert from_file["largest"].answer.score == pytest.approx(from_pixels["largest"].answer.score, abs=1e-6)
    with pytest.raises(ValueError, match="more than 8 bits"):
        model.predict(deep)


def test_a_wrong_key_of_a_dict_is_an_error_of_the_config(folder: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'trainer'") as caught:
        mtl.fit({**load_yaml(Path("tiny.yaml"))[0], "trainr": {}})
    assert str(caught.value.origin) == "in Python: trainr"
    with pytest.raises(ConfigError, match="there is no 'nowhere.yaml'"):
        mtl.fit({"base": "nowhere.yaml"})


def test_a_model_that_was_saved_without_the_command_line_loads_again(tmp_path: Path) -> None:
    data = DigitScenes(num_train=8, num_val=4, num_test=4, batch_size=4, image_size=32, max_digit_px=14, max_digits=2)
    heads = {"boxes": CenterNetHead, "largest": partial(ClassificationHead, levels=["c4", "p2"], hidden=8)}
    model = mtl.MultiTaskLightningModule(data.tasks, partial(ResidualFPN, width=4, pyramid_width=8), heads)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=1, accelerator="cpu", limit_val_batches=0, enable_model_summary=False, **options)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    loaded = mtl.load_checkpoint(tmp_path / "mine.ckpt")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    with pytest.raises(ValueError, match="Set model.image_size"):
        loaded.predict([])
    loaded.image_size = (32, 32)
    assert loaded.predict([]) == []


def test_classes_with_plain_arguments_are_described_and_objects_are_not() -> None:
    task = Task("kind", "classification", class_names=("a", "b"))
    heads = {"kind": partial(ClassificationHead, levels=("c4",))}
    assert described({"self": object(), "tasks": {"kind": task}, "heads": heads, "inputs": None}) == {
        "tasks": {"kind": {"name": "kind", "kind": "classification", "num_classes": 2, "class_names": ["a", "b"]}},
        "heads": {
            "kind": {
                "class_path": "mtl.heads.whole.classification.ClassificationHead",
                "init_args": {"levels": ["c4"]},
            }
        },
    }
    assert described({"backbone": ResidualFPN(width=4, pyramid_width=8)}) is None
    assert described({"heads": {"a": lambda task, spec: None}}) is None
