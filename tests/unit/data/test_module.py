"""The data module: batches, reproducible order and augmentation, colour on the device, exact resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import LABELLED, Batch, Sample
from mtl.data.augment.augment import COLOR, Augment
from mtl.data.module import JointDataModule
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", num_classes=2),
    "scene": Task("scene", "classification", num_classes=3),
}
AUGMENT = Augment(0.5, 0.5, 0.5, (0.7, 1.4), 0.2, mosaic=0.3, brightness=0.3, hue=0.1)


class Noise(Dataset[Sample]):
    """Every third picture has no boxes annotated, every fourth no scene."""

    def __len__(self) -> int:
        return 13

    def __getitem__(self, index: int) -> Sample:
        pixels = np.random.default_rng(index).integers(0, 255, (3, 16, 16), np.uint8)
        sample: Sample = {
            "image": tv_tensors.Image(torch.from_numpy(pixels)),
            "image_id": index,
            "orig_size": torch.tensor([16, 16]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }
        if index % 3:
            boxes = torch.tensor([[2.0, 2, 9, 9], [4, 4, 15, 14]])[: index % 3]
            sample["boxes"] = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(16, 16))  # type: ignore[call-overload]
            sample["box_labels"] = torch.arange(len(boxes))
        if index % 4:
            sample["scene"] = index % 3
        return sample


class NoiseData(JointDataModule):
    def __init__(self, **options: Any) -> None:
        super().__init__(TASKS, **options)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return TASKS

    def setup(self, stage: str) -> None:
        self.train_set = self.val_set = self.test_set = Noise()


class Recorder(LightningModule):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[list[int], Tensor]] = []
        self.seen_eval: list[Tensor] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        assert COLOR not in batch
        self.seen.append((batch["image_id"].tolist(), batch["image"].clone()))
        return self.weight * batch["image"].float().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen_eval.append(batch["image"])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Save(Callback):
    """A checkpoint after every step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / f"step={trainer.global_step}.ckpt")


def fit(data: NoiseData, folder: Path, epochs: int = 2, **options: Any) -> Recorder:
    module = Recorder()
    resumed = options.pop("ckpt_path", None)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    trainer.fit(module, data, ckpt_path=resumed, weights_only=True if resumed else None)
    return module


def loaded(data: NoiseData) -> NoiseData:
    data.setup("fit")
    return data


def test_a_training_batch_is_padded_and_says_who_is_labelled() -> None:
    loader = loaded(NoiseData(batch_size=13)).train_dataloader()
    batch = next(iter(loader))
    order = batch["image_id"]
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].shape == (13, 3, 16, 16)
    assert torch.equal(batch["labelled/boxes"], order % 3 != 0)
    assert torch.equal(batch["labelled/scene"], order % 4 != 0)
    assert torch.equal((batch["box_labels"] >= 0).sum(1), order % 3)
    assert (batch["scene"][order % 4 == 0] == -100).all()


def test_training_drops_the_small_last_batch_but_never_everything() -> None:
    assert len(loaded(NoiseData(batch_size=4)).train_dataloader()) == 3
    assert len(list(loaded(NoiseData(batch_size=20)).train_dataloader())) == 1
    assert sum(len(batch["image"]) for batch in loaded(NoiseData(batch_size=4)).val_dataloader()) == 13


def test_evaluation_sees_every_sample_in_order_and_unchanged() -> None:
    data = loaded(NoiseData(batch_size=4, augment=AUGMENT))
    batches = list(data.val_dataloader())
    assert torch.cat([batch["image_id"] for batch in batches]).tolist() == list(range(13))
    assert torch.equal(batches[0]["image"][5], Noise()[5]["image"])
    assert COLOR not in batches[0]


def test_samples_do_not_depend_on_the_number_of_workers() -> None:
    epochs = []
    for workers in (0, 2):
        loader = loaded(NoiseData(batch_size=4, augment=AUGMENT, num_workers=workers)).train_dataloader()
        batches = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            batches += list(loader)
        epochs.append(batches)
    assert len(epochs[0]) == len(epochs[1]) == 6
    for one, other in zip(*epochs, strict=True):
        assert one.keys() == other.keys()
        assert one.pop(LABELLED) == other.pop(LABELLED)
        for key in one:
            torch.testing.assert_close(one[key], other[key], equal_nan=True)
    assert not torch.equal(epochs[0][0]["image"], epochs[0][3]["image"])


def test_the_seed_of_the_process_changes_nothing() -> None:
    seen = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        seen.append(next(iter(loaded(NoiseData(batch_size=4, augment=AUGMENT)).train_dataloader())))
    assert torch.equal(seen[0]["image"], seen[1]["image"])
    other = next(iter(loaded(NoiseData(batch_size=4, augment=AUGMENT, seed=1)).train_dataloader()))
    assert not torch.equal(seen[0]["image_id"], other["image_id"])


def test_colour_is_applied_to_the_batch_in_training_only(tmp_path: Path) -> None:
    module = fit(NoiseData(batch_size=4, augment=AUGMENT), tmp_path, epochs=1)
    _, image = module.seen[0]
    assert image.dtype == torch.float32
    assert 0 <= image.min() < image.max() <= 1
    assert all(images.dtype == torch.uint8 for images in module.seen_eval)
    plain = fit(NoiseData(batch_size=4), tmp_path, epochs=1)
    assert plain.seen[0][1].dtype == torch.uint8


def test_lightning_tells_the_sampler_the_epoch(tmp_path: Path) -> None:
    module = fit(NoiseData(batch_size=4, augment=AUGMENT), tmp_path, epochs=3)
    orders = [[ids for ids, _ in module.seen[start : start + 3]] for start in (0, 3, 6)]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_a_run_resumed_in_the_middle_of_an_epoch_sees_what_it_would_have_seen(tmp_path: Path, stop_at: int) -> None:
    data = {"batch_size": 4, "augment": AUGMENT}
    whole = fit(NoiseData(**data), tmp_path, epochs=3, callbacks=[Save(tmp_path)])
    checkpoint = str(tmp_path / f"step={stop_at}.ckpt")
    resumed = fit(NoiseData(**data), tmp_path, epochs=3, ckpt_path=checkpoint)
    assert len(whole.seen) == 9
    assert len(resumed.seen) == 9 - stop_at
    for (ids, image), (other_ids, other_image) in zip(whole.seen[stop_at:], resumed.seen, strict=True):
        assert ids == other_ids
        assert torch.equal(image, other_image)


@pytest.mark.parametrize(
    ("options", "message"), [({"batch_size": 0}, "batch_size=0"), ({"num_workers": -1}, "=-1"), ({"seed": -1}, "=-1")]
)
def test_rejects_counts_below_their_least(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseData(**options)


def test_overfitting_some_batches_works_with_augmentation(tmp_path: Path) -> None:
    # Lightning puts a sampler of its own in place, which gives bare indices
    with pytest.warns(UserWarning, match="turning off the train dataloader shuffling"):
        module = fit(NoiseData(batch_size=4, augment=AUGMENT), tmp_path, epochs=2, overfit_batches=1)
    assert [ids for ids, _ in module.seen] == [[0, 1, 2, 3]] * 2


def test_a_split_that_setup_did_not_set_is_named() -> None:
    data = NoiseData()
    with pytest.raises(AttributeError, match="NoiseData has no train_set; set train_set, val_set and"):
        data.train_dataloader()
    assert not hasattr(data, "test_set")
    with pytest.raises(AttributeError, match="has no attribute 'tset_set'"):
        data.tset_set  # noqa: B018


def test_a_task_under_another_key_than_its_name_is_refused() -> None:
    class _Renamed(NoiseData):
        def __init__(self) -> None:
            JointDataModule.__init__(self, {"view": TASKS["scene"]})

    with pytest.raises(ValueError, match="task 'scene' stands under the key 'view'"):
        _Renamed()
