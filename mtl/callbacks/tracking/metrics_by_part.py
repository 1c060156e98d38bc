"""`MetricsByPart`: after a test on mixed data, the metrics of each part beside the metrics of the concatenation."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.batch import Batch, labelled
from mtl.callbacks.model_parts import model_of
from mtl.data.mixed.mixed_set import PART
from mtl.data.mixed.module import MixedData
from mtl.metrics.task_metrics import Predictions, TaskMetrics


class MetricsByPart(Callback):
    """Logs `test/<part>/<task>/<metric>` where the data is `MixedData`; does nothing elsewhere."""

    def __init__(self) -> None:
        self._metrics: dict[str, dict[str, TaskMetrics]] = {}

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        heads = model_of(pl_module).heads
        self._metrics = {}
        if isinstance(data, MixedData):
            self._metrics = {
                part: {name: head.metrics().to(pl_module.device) for name, head in heads.items()}  # type: ignore[operator]
                for part in data.parts
            }

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for number, metrics in enumerate(self._metrics.values()):
            update_part(metrics, outputs, batch, number)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for part, metrics in self._metrics.items():
            for name, metric in metrics.items():
                # the values already cover all ranks; a task that the part does not label gives none
                values = metric.compute()
                pl_module.log_dict(
                    {f"test/{part}/{name}/{key}": value.to(pl_module.device) for key, value in values.items()}
                )
        self._metrics = {}


def update_part(
    metrics: Mapping[str, TaskMetrics], predictions: Mapping[str, Predictions], batch: Batch, number: int
) -> None:
    """Add the rows of one part to its metrics: to them, samples of other parts have no labels.

    Args:
        metrics: of the part, by task.
        predictions: of the batch, by task.
        batch: the batch.
        number: the part.
    """
    of_part_B = batch[PART] == number
    for name, metric in metrics.items():
        known_B = labelled(batch, metric.task) & of_part_B
        metric.update(predictions[name], {**batch, metric.task.labelled_field: known_B})
