"""Parts with different inputs: each sample has its own, a fusion trains on both, and other backbones refuse them."""

from functools import partial

import pytest
import torch

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.fusion.concat import ConcatFusion
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.data.mixed.mixed_set import PART
from mtl.data.mixed.module import MixedData
from mtl.data.sets.spoken_and_written_digits import SpokenAndWrittenDigits
from mtl.data.sets.spoken_digits_synth import SpokenDigitsSynth
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from tests.unit.callbacks.conftest import tiny_trainer

SMALL = {"num_train": 8, "num_val": 4, "num_test": 4}


def mixed() -> MixedData:
    written = SpokenAndWrittenDigits(modalities=["image"], **SMALL)
    spoken = SpokenDigitsSynth(most_digits=1, **SMALL)
    # the two sets name their speakers alike, which is one task of the mix
    return MixedData({"written": written, "spoken": spoken}, batch_size=8, ratio="equal")


def test_each_sample_has_the_inputs_of_its_part() -> None:
    data = mixed()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    written = batch[PART] == 0
    assert written.any()
    assert not written.all()
    assert torch.equal(batch["present/image"], written)
    assert torch.equal(batch["present/audio"], ~written)
    assert not batch["image"][~written].any()
    assert {name: spec.optional for name, spec in data.inputs.items()} == {"image": True, "audio": True}


def test_a_fusion_trains_on_both_and_another_backbone_is_refused() -> None:
    data = mixed()
    encoders = {"image": partial(SeedCNN, widths=(4, 4, 4)), "audio": partial(AudioConvolutions, width=8, layers=1)}
    heads = {"digit": ClassificationHead, "speaker": ClassificationHead}
    torch.manual_seed(0)
    fusion = partial(ConcatFusion, encoders=encoders, width=8)
    module = MultiTaskLightningModule(data.tasks, fusion, heads, dict(data.inputs))
    trainer = tiny_trainer(max_steps=2)
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    assert {"test/digit/accuracy", "test/speaker/accuracy"} <= set(trainer.callback_metrics)
    alone = partial(AudioConvolutions, width=8, layers=1)
    with pytest.raises(ValueError, match="may lack the input 'image'"):
        MultiTaskLightningModule(data.tasks, alone, heads, dict(data.inputs))
