"""`Alignments`: after the test, when the symbols of a transcript are heard in the first recordings."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.batch import labelled
from mtl.drawing.alignment import Alignment, draw_alignments
from mtl.drawing.figure_file import not_costing
from mtl.features import MASK
from mtl.inputs.audio import DEFAULT_RATE, AudioInput
from mtl.module import MultiTaskLightningModule
from mtl.runs.metrics_csv import run_folder
from mtl.targets.target import target_of
from mtl.targets.transcript import Transcript


class Alignments(Callback):
    """Writes `<task>_alignment.png` for every transcript of a model of audio; does nothing for other models.

    Args:
        folder: folder of the pictures; `pictures` in the folder of the run by default.
        num_drawn: recordings in a picture, the first ones of the test set; 0 for none.
    """

    def __init__(self, folder: Path | None = None, num_drawn: int = 4) -> None:
        if num_drawn < 0:
            raise ValueError(f"num_drawn={num_drawn} must be at least 0.")
        self.folder = Path(folder) if folder is not None else None
        self.num_drawn = num_drawn

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or dataloader_idx or not self.num_drawn or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, MultiTaskLightningModule)
        parts = [part for part in pl_module.model.inputs.values() if isinstance(part, AudioInput)]
        tasks = [name for name, task in pl_module.tasks.items() if isinstance(target_of(task), Transcript)]
        run = run_folder(trainer)
        folder = self.folder or (run / "pictures" if run else None)
        if len(parts) != 1 or not tasks or folder is None:
            return
        with not_costing("alignments"):
            self._draw(pl_module, parts[0], tasks, batch, folder)

    @torch.no_grad()
    def _draw(
        self, pl_module: MultiTaskLightningModule, part: AudioInput, names: list[str], batch: Any, folder: Path
    ) -> None:
        spec = part.spec
        few = {key: value[: self.num_drawn] for key, value in batch.items() if isinstance(value, Tensor)}
        prepared = part(few)
        mels_BFM, frames_B = prepared[spec.name].cpu(), prepared[spec.name + MASK].sum(1).tolist()
        found = pl_module.model(few)
        for name in names:
            outputs, task = found[name], pl_module.tasks[name]
            if "logits" not in outputs:
                continue  # a head that gives no symbol for each step
            shares_BTV = outputs["logits"].softmax(-1).cpu()
            steps_B = (
                [int(row.sum()) for row in outputs["mask"]]
                if "mask" in outputs
                else [shares_BTV.shape[1]] * len(shares_BTV)
            )
            predicted = pl_module.model.head(name).decode(outputs)
            target, known_B = target_of(task), labelled(few, task)
            samples = []
            for index, frames in enumerate(frames_B):
                answer = target.overlay(predicted, index, few if known_B[index] else None).answer
                assert answer is not None
                title = f"heard: {answer.predicted}" + ("" if answer.true is None else f"   said: {answer.true}")
                seconds = frames * part.hop / (spec.rate or DEFAULT_RATE)
                samples.append(Alignment(title, mels_BFM[index, :frames], shares_BTV[index, : steps_B[index]], seconds))
            draw_alignments(samples, task.class_names, folder / f"{name}_alignment.png")
