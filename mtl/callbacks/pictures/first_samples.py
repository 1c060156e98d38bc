"""`FirstSamples`: what callbacks share that draw the first samples of the test set, once, on rank 0."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.drawing.figure_file import not_costing
from mtl.module import MultiTaskLightningModule
from mtl.runs.metrics_csv import run_folder


class FirstSamples(Callback, ABC):
    """Draws the first samples of the test set.

    Args:
        folder: folder of the pictures; `pictures` in the folder of the run by default.
        num_drawn: samples in a picture, the first ones of the test set; 0 for none.

    Raises:
        ValueError: for a number below 0.
    """

    words: ClassVar[str]  # what is drawn, for the warning about a picture that cannot be written

    def __init__(self, folder: Path | None = None, num_drawn: int = 4) -> None:
        if num_drawn < 0:
            raise ValueError(f"num_drawn={num_drawn} must be at least 0.")
        self.folder = Path(folder) if folder is not None else None
        self.num_drawn = num_drawn

    @abstractmethod
    def draw(self, pl_module: MultiTaskLightningModule, few: dict[str, Tensor], folder: Path) -> None:
        """Write the pictures; none for a model that has nothing to draw.

        Args:
            pl_module: the trained model.
            few: the first samples, as a batch.
            folder: folder of the pictures.
        """

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
        if folder is not None:
            few = {key: value[: self.num_drawn] for key, value in batch.items() if isinstance(value, Tensor)}
            with not_costing(self.words), torch.no_grad():
                self.draw(pl_module, few, folder)
