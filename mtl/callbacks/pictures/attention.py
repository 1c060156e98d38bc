"""`AttentionPictures`: after the test, what decoders looked at while they wrote the first texts."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.batch import labelled
from mtl.drawing.attention import Attention, draw_attention
from mtl.drawing.figure_file import not_costing
from mtl.inputs.input import Input
from mtl.module import MultiTaskLightningModule
from mtl.runs.metrics_csv import run_folder
from mtl.targets.target import target_of

_END = "(end)"


class AttentionPictures(Callback):
    """Writes `<task>_attention.png` for every head that attends to its features; does nothing for other heads.

    Args:
        folder: folder of the pictures; `pictures` in the folder of the run by default.
        num_drawn: samples in a picture, the first ones of the test set; 0 for none.
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
        run = run_folder(trainer)
        folder = self.folder or (run / "pictures" if run else None)
        heads = [name for name in pl_module.tasks if name in pl_module.model.heads]
        attending = [name for name in heads if pl_module.model.head(name).attends]
        if folder is not None and attending:
            with not_costing("pictures of attention"):
                self._draw(pl_module, attending, batch, folder)

    @torch.no_grad()
    def _draw(self, pl_module: MultiTaskLightningModule, names: list[str], batch: Any, folder: Path) -> None:
        few = {key: value[: self.num_drawn] for key, value in batch.items() if isinstance(value, Tensor)}
        found = pl_module.model(few)
        for name in names:
            head, task = pl_module.model.head(name), pl_module.tasks[name]
            predicted = head.decode(found[name])
            shares_BSN = head.attention(found[name], predicted)
            if shares_BSN is None:
                continue
            known_B, target = labelled(few, task).tolist(), target_of(task)
            samples = []
            for index, shares_SN in enumerate(shares_BSN.cpu()):
                answer = target.overlay(predicted, index, few if known_B[index] else None).answer
                assert answer is not None
                tokens = [token for token in predicted["tokens"][index].tolist() if token >= 0]
                written = [*(task.class_name(token) for token in tokens), _END][: len(shares_SN)]
                real_N = shares_SN.sum(0) > 0
                title = f"wrote: {answer.predicted}" + ("" if answer.true is None else f"\ntrue: {answer.true}")
                read = self._read(pl_module, few, index, int(real_N.sum()))
                samples.append(Attention(title, read, written, shares_SN[: len(written), real_N]))
            draw_attention(samples, folder / f"{name}_attention.png")

    @staticmethod
    def _read(pl_module: MultiTaskLightningModule, batch: dict[str, Tensor], index: int, number: int) -> list[str]:
        """Names of the rows that were attended to: of the input with as many real steps, or their numbers."""
        for part in pl_module.model.inputs.values():
            if isinstance(part, Input) and len(names := part.step_names(batch, index)) == number:
                return names
        return [str(row) for row in range(number)]
