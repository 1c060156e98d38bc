"""The loop on tiny digit scenes: losses, metrics, score, missing labels, resuming."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.batch import Batch, Sample, collate
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from mtl.task import IMAGE

DIGITS = {"num_train": 32, "num_val": 16, "num_test": 16, "image_size": 32, "batch_size": 8, "eval_batch_size": 8}


def data(**settings: Any) -> DigitScenes:
    return DigitScenes(**{**DIGITS, "max_digit_px": 20, **settings})


def module(**settings: Any) -> MultiTaskLightningModule:
    torch.manual_seed(1)
    optim = Optim(partial(torch.optim.AdamW, lr=3e-3), warmup_steps=2)
    heads = {"boxes": CenterNetHead, "largest": ClassificationHead}
    return MultiTaskLightningModule(
        **{
            "tasks": data().tasks,
            "backbone": ResidualFPN(width=8, pyramid_width=8),
            "heads": heads,
            "optim": optim,
            **settings,
        }
    )


def trainer(folder: Path, **settings: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
        "num_sanity_val_steps": 0,
    }
    return Trainer(**{**quiet, **settings})


class Keep(Callback):
    """Losses of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


class Strip(Dataset[Sample]):
    """The same scenes, some of them without some of their labels."""

    def __init__(self, scenes: Dataset[Sample], missing: dict[int, tuple[str, ...]]) -> None:
        self.scenes, self.missing = scenes, missing

    def __len__(self) -> int:
        return len(self.scenes)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        return {key: value for key, value in self.scenes[index].items() if key not in self.missing.get(index, ())}


class Partly(DigitScenes):
    """Digit scenes where the task of `lost` has no label in the validation scenes named."""

    lost: dict[int, tuple[str, ...]]

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.val_set = Strip(self.val_set, self.lost)


def batch_of(scenes: DigitScenes, num: int = 8) -> Batch:
    scenes.setup("fit")
    return collate([scenes.train_set[index] for index in range(num)], scenes.tasks)


def test_fit_lowers_the_loss_and_logs_every_task(tmp_path: Path) -> None:
    keep, run = Keep(), trainer(tmp_path, max_epochs=6, callbacks=[])
    run.callbacks.append(keep)  # type: ignore[attr-defined]
    run.fit(module(), datamodule=data())
    assert sum(keep.losses[-4:]) < 0.7 * sum(keep.losses[:4])
    logged = run.callback_metrics
    expected = {"train/loss", "train/loss/boxes", "train/loss/largest", "weights/boxes", "weights/largest"}
    expected |= {"val/score", "val/loss/boxes", "val/loss/largest", "val/boxes/map", "val/boxes/map50"}
    expected |= {"val/largest/accuracy", "val/largest/f1_macro", "val/largest/balanced_accuracy"}
    assert expected <= set(logged)
    for name, value in logged.items():
        assert torch.isfinite(value), name


def test_score_is_the_mean_of_the_monitored_metrics(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    (values,) = run.validate(module(), datamodule=data(), verbose=False)
    assert values["val/score"] == pytest.approx((values["val/boxes/map"] + values["val/largest/accuracy"]) / 2)


def test_the_step_returns_the_weighted_sum_of_the_losses() -> None:
    batch = batch_of(data())
    loop = module(loss_weights={"boxes": 0.3})
    loop.log_dict = loop.log = lambda *args, **options: None  # type: ignore[assignment, method-assign]
    loop.eval()  # the same batch norm in both calls
    losses = loop.model.losses(loop.model(batch["image"]), batch)
    total = loop.training_step(batch, 0)
    torch.testing.assert_close(total, 0.3 * losses["boxes"] + losses["largest"])
    assert loop.loss_weights == {"boxes": 0.3, "largest": 1.0}


def test_a_task_without_labels_gives_zero_loss_and_gradients_of_zero() -> None:
    scenes = data()
    scenes.setup("fit")
    lost = Strip(scenes.train_set, dict.fromkeys(range(8), ("largest",)))
    batch = collate([lost[index] for index in range(8)], scenes.tasks)
    loop = module()
    loop.log_dict = loop.log = lambda *args, **options: None  # type: ignore[assignment, method-assign]
    loop.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
    for name, parameter in loop.model.named_parameters():
        assert parameter.grad is not None, name
        if name.startswith("heads.largest"):
            assert not parameter.grad.any(), name
    assert loop.model.losses(loop.model(batch["image"]), batch)["largest"] == 0


def test_a_task_of_the_data_without_a_head_is_not_trained(tmp_path: Path) -> None:
    run = trainer(tmp_path, fast_dev_run=True)
    run.fit(module(heads={"largest": ClassificationHead}), datamodule=data())
    assert "train/loss/largest" in run.callback_metrics
    assert not [name for name in run.callback_metrics if "boxes" in name]


def test_a_task_without_any_label_in_validation_is_left_out_of_log_and_score(tmp_path: Path) -> None:
    scenes = Partly(**DIGITS, max_digit_px=20)
    scenes.lost = dict.fromkeys(range(16), ("boxes", "box_labels"))
    (values,) = trainer(tmp_path).validate(module(), datamodule=scenes, verbose=False)
    assert not [name for name in values if "boxes" in name]
    assert values["val/score"] == values["val/largest/accuracy"]
    assert min(values.values()) >= 0


def test_the_validation_loss_is_the_mean_over_labelled_scenes(tmp_path: Path) -> None:
    scenes = Partly(**DIGITS, max_digit_px=20)
    scenes.lost = dict.fromkeys(range(7), ("largest",))  # batch 1 has one label, batch 2 has eight
    loop = module()
    (values,) = trainer(tmp_path).validate(loop, datamodule=scenes, verbose=False)
    loader = DataLoader(scenes.val_set, 16, collate_fn=partial(collate, tasks=scenes.tasks))
    batch = next(iter(loader))
    with torch.no_grad():
        whole = loop.eval().model.losses(loop.model(batch["image"]), batch)["largest"]
    assert values["val/loss/largest"] == pytest.approx(float(whole), rel=1e-5)


def test_test_gives_the_metrics_of_single_classes_too(tmp_path: Path) -> None:
    (values,) = trainer(tmp_path).test(module(), datamodule=data(), verbose=False)
    assert {"test/boxes/map", "test/largest/accuracy", "test/largest/recall/3", "test/score"} <= set(values)
    assert [name for name in values if name.startswith("test/boxes/map/")]
    assert min(values.values()) >= 0


def test_predictions_are_those_of_the_plain_model(tmp_path: Path) -> None:
    scenes, loop = data(), module()
    scenes.setup("test")
    (first, _) = trainer(tmp_path).predict(loop, scenes.test_dataloader())  # type: ignore[misc]
    batch = next(iter(scenes.test_dataloader()))
    torch.testing.assert_close(first["boxes"], loop.model.eval().predict(batch["image"])["boxes"])


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    def run(epochs: int, resume: Path | None = None) -> tuple[dict[str, Tensor], Path]:
        loop = module()
        settings: dict[str, Any] = {"max_epochs": 4, "limit_val_batches": 0}
        stop = Stop(epochs)
        its = trainer(tmp_path, callbacks=[stop], **settings)
        its.fit(
            loop,
            datamodule=data(),
            ckpt_path=resume,
            weights_only=True,
        )
        file = tmp_path / f"{epochs}{resume is None}.ckpt"
        its.save_checkpoint(file)
        return loop.model.state_dict(), file

    class Stop(Callback):
        def __init__(self, epochs: int) -> None:
            self.epochs = epochs

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.should_stop = trainer.current_epoch + 1 >= self.epochs

    unbroken, _ = run(4)
    half, file = run(2)
    resumed, _ = run(4, resume=file)
    assert not torch.equal(half["trunk.backbone.stem.0.weight"], unbroken["trunk.backbone.stem.0.weight"])
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, msg=name)


def test_rejects_a_head_without_a_task() -> None:
    with pytest.raises(ValueError, match="head 'boxs' has no entry in data.tasks.*Did you mean 'boxes'"):
        module(heads={"boxs": CenterNetHead})


def test_rejects_a_weight_without_a_head() -> None:
    with pytest.raises(ValueError, match="loss weight 'larges' has no entry in model.heads.*Did you mean 'largest'"):
        module(loss_weights={"larges": 0.5})


def test_rejects_a_head_that_does_not_serve_the_kind_of_task() -> None:
    with pytest.raises(
        ValueError, match="ClassificationHead supports tasks of kind classification.*'boxes' is of kind"
    ):
        module(heads={"boxes": ClassificationHead})


class Endless(IterableDataset[Batch]):
    """Batches without a number."""

    def __iter__(self) -> Iterator[Batch]:
        scenes = data()
        scenes.setup("fit")
        yield from scenes.train_dataloader()


@pytest.mark.parametrize("limit", [{"max_epochs": 2}, {"max_epochs": -1, "max_time": {"seconds": 5}}])
def test_a_schedule_needs_to_know_the_number_of_steps(limit: dict[str, Any], tmp_path: Path) -> None:
    loader, few = DataLoader(Endless(), batch_size=None), data()
    few.setup("validate")
    with pytest.raises(ValueError, match=r"nobody knows how many optimiser steps.*trainer.max_steps"):
        trainer(tmp_path, limit_val_batches=0, **limit).fit(module(optim=Optim()), loader, few.val_dataloader())


def test_an_endless_loader_trains_with_a_number_of_steps(tmp_path: Path) -> None:
    loop = module(optim=Optim(partial(torch.optim.SGD, lr=0.1), schedule="constant", warmup_steps=0))
    one = trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    few = data()
    few.setup("validate")
    one.fit(loop, DataLoader(Endless(), batch_size=None), few.val_dataloader())
    assert one.global_step == 8
    assert one.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_precision_that_rounds_true_boxes_is_refused(precision: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"precision {precision} rounds.*bf16-mixed"):
        trainer(tmp_path, precision=precision, max_steps=1).validate(module(), data(), verbose=False)


@pytest.mark.parametrize("which", [0, 1])
def test_a_validation_loss_that_is_no_number_is_seen(which: int, tmp_path: Path) -> None:
    loop = module()
    head, calls = loop.model.head("boxes"), iter(range(9))
    true_loss = head.loss
    broken = lambda outputs, batch: true_loss(outputs, batch) * (torch.nan if next(calls) == which else 1)  # noqa: E731
    head.loss = broken  # type: ignore[method-assign]
    found = trainer(tmp_path).validate(loop, data(), verbose=False)[0]
    assert found["val/loss/boxes"] == float("inf")
    assert torch.isfinite(torch.tensor(found["val/loss/largest"]))


def test_an_input_under_another_key_than_its_name_is_refused() -> None:
    with pytest.raises(ValueError, match="input 'image' stands under the key 'picture'"):
        module(inputs={"picture": IMAGE["image"]})
