"""A run on sentences that is stopped in the middle of an epoch and resumed ends with the weights of an unbroken one."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from mtl.backbones.text.convolutions import TextConvolutions
from mtl.data.length_batches import LengthBatches
from mtl.data.sets.voice_commands import VoiceCommands
from mtl.heads.sequence.decoder import DecoderHead
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim

STEPS, STOP = 9, 5  # an epoch has 7


class Save(Callback):
    """Counts batches, and saves a checkpoint in the middle of an epoch."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.batches = 0

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        self.batches += 1
        if trainer.global_step == STOP:
            trainer.save_checkpoint(self.file, weights_only=False)


def fit(folder: Path, resume: bool) -> tuple[MultiTaskLightningModule, int]:
    seed_everything(0, verbose=False)
    data = VoiceCommands(num_train=50, num_val=4, num_test=4, translated=0.5, batch_size=8, batch_tokens=150)
    # nothing random in the model: the order of the sentences is what is tested
    backbone = lambda inputs: TextConvolutions(inputs, 8, layers=1, dropout=0.0)  # noqa: E731
    heads = {
        "intent": ClassificationHead,
        "slots": TaggingHead,
        "spanish": lambda task, features: DecoderHead(task, features, width=8, attention_heads=2, dropout=0.0),
    }
    optim = Optim(schedule="constant", warmup_steps=0)
    module = MultiTaskLightningModule(data.tasks, backbone, heads, dict(data.inputs), optim=optim)  # type: ignore[arg-type]
    trainer = Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        callbacks=[save := Save(folder / "stopped.ckpt")],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, data, ckpt_path=folder / "stopped.ckpt" if resume else None, weights_only=True)
    assert isinstance(trainer.train_dataloader.sampler, LengthBatches)  # type: ignore[union-attr]
    return module, save.batches


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    (whole, every), (resumed, rest) = fit(tmp_path, resume=False), fit(tmp_path, resume=True)
    assert (every, rest) == (STEPS, STEPS - STOP)
    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, rtol=0, atol=0, msg=name)
