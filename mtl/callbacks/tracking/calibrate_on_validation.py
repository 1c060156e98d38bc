"""`CalibrateOnValidation`: after every validation, heads choose their temperature and threshold by its samples.

The numbers are buffers of the heads, so that the best checkpoint holds its own, and test samples choose nothing.
Shapes: B samples, N validation samples, C classes.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.batch import labelled
from mtl.callbacks.model_parts import model_of
from mtl.metrics.collected import PredictionsAndTargets


@runtime_checkable
class Calibrated(Protocol):
    """A head that has something to choose."""

    def calibrate(self, probabilities_NC: Tensor, labels_N: Tensor) -> None:
        """Choose it.

        Args:
            probabilities_NC: what `decode` gave for the validation samples.
            labels_N: their classes.
        """


class CalibrateOnValidation(Callback):
    """Calls `calibrate` of every head that has it, with all labelled validation samples of all ranks.

    Raises:
        ValueError: if no head can be calibrated.
    """

    def __init__(self) -> None:
        self._seen: dict[str, PredictionsAndTargets] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        heads = model_of(pl_module).heads
        self._seen = {name: PredictionsAndTargets() for name, head in heads.items() if isinstance(head, Calibrated)}
        if not self._seen:
            raise ValueError(
                "CalibrateOnValidation has no effect: no head can be calibrated. Take CalibratedHead for the tasks "
                "whose probabilities matter, or remove the callback."
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for metric in self._seen.values():
            metric.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        model = model_of(pl_module)
        for name, metric in self._seen.items():
            known_B = labelled(batch, model.head(name).task) & (batch[name] >= 0)
            probabilities_BC = outputs[name]["probabilities"]
            target_B = torch.where(known_B, batch[name], -1)
            metric.update(probabilities_BC, target_B[:, None].expand_as(probabilities_BC))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        for name, metric in self._seen.items():
            head = model_of(pl_module).head(name)
            flat, targets = (values.view(-1, head.task.num_classes) for values in metric.compute())
            known_N = targets[:, 0] >= 0
            if known_N.any():
                assert isinstance(head, Calibrated)
                head.calibrate(flat[known_N], targets[known_N, 0].long())
