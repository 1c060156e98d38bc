"""`ModalitySubsets`: after a test, every metric as if only some of the inputs were there."""

from itertools import combinations
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.backbones.fusion.fusion import FusionBackbone
from mtl.batch import PRESENT, Batch, labelled
from mtl.callbacks.model_parts import model_of
from mtl.metrics.task_metrics import TaskMetrics


class ModalitySubsets(Callback):
    """Logs `test/<task>/<metric>@<input>` for every subset of the inputs but the whole, as `@image+audio`.

    A sample that has none of the inputs of a subset does not count there. The test takes as many passes more as there
    are subsets.

    Raises:
        ValueError: for a model whose backbone does not join several inputs.
    """

    def __init__(self) -> None:
        self._metrics: dict[tuple[str, ...], dict[str, TaskMetrics]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not _fusions(pl_module):
            raise ValueError(
                "ModalitySubsets needs a backbone that joins several inputs, one of mtl/backbones/fusion; "
                "take one, or remove the callback."
            )

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        names, heads = _fusions(pl_module)[0].names, model_of(pl_module).heads
        subsets = [subset for size in range(1, len(names)) for subset in combinations(names, size)]
        self._metrics = {
            subset: {name: head.metrics().to(pl_module.device) for name, head in heads.items()}  # type: ignore[operator]
            for subset in subsets
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
        model, names = model_of(pl_module), _fusions(pl_module)[0].names
        for subset, metrics in self._metrics.items():
            part = only(batch, subset, names)
            predictions = model.predict(part)
            some_B = torch.stack([part[PRESENT + name] for name in names]).any(0)
            for name, metric in metrics.items():
                known_B = labelled(batch, metric.task) & some_B
                metric.update(predictions[name], {**batch, metric.task.labelled_field: known_B})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for subset, metrics in self._metrics.items():
            where = "+".join(subset)
            for name, metric in metrics.items():
                # the values already cover all ranks
                values = {f"test/{name}/{key}@{where}": value for key, value in metric.compute().items()}
                pl_module.log_dict({key: value.to(pl_module.device) for key, value in values.items()})
        self._metrics = {}


def only(batch: Batch, subset: tuple[str, ...], names: list[str]) -> Batch:
    """A batch in which only some inputs are present.

    Args:
        batch: the batch.
        subset: the inputs that stay.
        names: all inputs.
    """
    found = dict(batch)
    for name in names:
        present_B = batch.get(PRESENT + name)
        if present_B is None:
            present_B = torch.ones(len(batch[name]), dtype=torch.bool, device=batch[name].device)
        found[PRESENT + name] = present_B & (name in subset)
    return found


def _fusions(pl_module: LightningModule) -> list[FusionBackbone]:
    return [module for module in model_of(pl_module).modules() if isinstance(module, FusionBackbone)]
