"""Metrics with some inputs are those of the model when the others are absent; samples may lack inputs in training."""

from functools import partial

import pytest
import torch

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.fusion.gated import GatedFusion
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.callbacks.tracking.modality_subsets import ModalitySubsets, only
from mtl.data.sets.spoken_and_written_digits import SpokenAndWrittenDigits
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from tests.unit.callbacks.conftest import tiny_trainer

ENCODERS = {"image": partial(SeedCNN, widths=(4, 4, 4)), "audio": partial(AudioConvolutions, width=8, layers=1)}


def test_every_subset_is_measured_as_if_the_others_were_absent() -> None:
    data = SpokenAndWrittenDigits(num_train=16, num_val=4, num_test=20, batch_size=8, present={"audio": 0.5})
    torch.manual_seed(0)
    backbone = partial(GatedFusion, encoders=ENCODERS, width=8, modality_dropout=0.3)
    heads = {"digit": ClassificationHead, "speaker": ClassificationHead}
    module = MultiTaskLightningModule(data.tasks, backbone, heads, dict(data.inputs))
    trainer = tiny_trainer([ModalitySubsets()], max_steps=2)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    found = {key: float(value) for key, value in trainer.callback_metrics.items()}
    (batch,) = list(data.test_dataloader())
    module.eval()
    for name in data.inputs:
        labels = module.model.predict(only(batch, (name,), list(data.inputs)))["digit"]["labels"]
        expected = float((labels == batch["digit"]).float().mean())
        assert found[f"test/digit/accuracy@{name}"] == pytest.approx(expected)
    both = float((module.model.predict(batch)["digit"]["labels"] == batch["digit"]).float().mean())
    assert found["test/digit/accuracy"] == pytest.approx(both)
    other = MultiTaskLightningModule(data.tasks, lambda i: SeedCNN({"image": i["image"]}), heads, dict(data.inputs))
    with pytest.raises(ValueError, match="joins several inputs"):
        tiny_trainer([ModalitySubsets()]).fit(other, datamodule=data)


def test_training_samples_lack_the_share_that_was_asked_for_and_never_all() -> None:
    data = SpokenAndWrittenDigits(num_train=200, num_val=4, num_test=4, present={"image": 0.3, "audio": 0.6})
    data.setup("fit")
    has = torch.tensor([["image" in s, "audio" in s] for s in (data.train_set[i] for i in range(200))])  # type: ignore[attr-defined]
    assert has.any(1).all()
    # 0.3, and 0.6 + 0.4 * 0.7 where it stands in for none
    assert float(has[:, 0].float().mean()) == pytest.approx(0.3, abs=0.1)
    assert float(has[:, 1].float().mean()) == pytest.approx(0.88, abs=0.08)
    batch = next(iter(data.train_dataloader()))
    assert batch["present/image"].dtype == torch.bool
    assert not batch["image"][~batch["present/image"]].any()
    with pytest.raises(ValueError, match="present has image: 0"):
        SpokenAndWrittenDigits(present={"image": 0.0})


def test_pictures_and_recordings_of_a_sample_are_of_its_digit() -> None:
    data = SpokenAndWrittenDigits(num_train=30, num_val=4, num_test=30, pixel_noise=0.0, audio_noise=0.0)
    data.setup("fit")
    data.setup("test")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {image.astype("float32").tobytes(): int(label) for image, label in zip(bunch.images / 16, bunch.target)}  # noqa: B905
    seen: dict[str, set[bytes]] = {}
    for split in ("train", "test"):
        samples = [getattr(data, f"{split}_set")[i] for i in range(30)]
        pictures = [s["image"][0].numpy().tobytes() for s in samples]
        assert [known[picture] for picture in pictures] == [s["digit"] for s in samples]
        seen[split] = set(pictures)
    assert not seen["train"] & seen["test"]
