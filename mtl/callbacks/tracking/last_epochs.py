"""`LastEpochs`: results that are the mean over the last validations, as one family of papers reports them.

Such protocols validate on the test set after every epoch, choose no checkpoint, and report the mean of the last epochs:
Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021, and works that share its code.
"""

from collections import deque
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from mtl.callbacks.tracking.results import Results


class LastEpochs(Results):
    """`results.json` with the mean of the last validations in place of a test of the best checkpoint.

    It takes the place of `Results`. Metrics of single classes and parts, which only a test measures, are left out.

    Args:
        epochs: how many validations are averaged.
        run_dir: folder of the run; by default the one with `metrics.csv`.
        show: print the table.

    Raises:
        ValueError: for a number below 1.
    """

    def __init__(self, epochs: int = 10, run_dir: Path | None = None, show: bool = True) -> None:
        super().__init__(run_dir, show)
        if epochs < 1:
            raise ValueError(f"LastEpochs: epochs={epochs} must be at least 1.")
        self.epochs = epochs
        self._kept: deque[dict[str, float]] = deque(maxlen=epochs)
        self._trained = False  # in this process: a later test of a checkpoint is a test

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._trained = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.datamodule is not None:  # type: ignore[attr-defined]
            data = trainer.datamodule  # type: ignore[attr-defined]
            data.setup("test")
            if data.val_set is not data.test_set:
                raise ValueError(
                    "LastEpochs reports validations as results, and this data validates on samples that are not its "
                    "test set. Hold out no validation samples (`num_val: 0`), or remove LastEpochs."
                )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            found = trainer.callback_metrics.items()
            self._kept.append({key: float(value) for key, value in found if key.startswith("val/")})

    def test_metrics(self, trainer: Trainer) -> dict[str, float]:
        if not self._trained or not self._kept:
            return super().test_metrics(trainer)
        keys = set.intersection(*(set(values) for values in self._kept))
        means = {key: sum(values[key] for values in self._kept) / len(self._kept) for key in sorted(keys)}
        return {f"test/{key.removeprefix('val/')}": value for key, value in means.items()}

    def _meta(self, run_dir: Path, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        meta = super()._meta(run_dir, trainer, pl_module)
        if self._trained and self._kept:
            meta |= {
                "checkpoint": None,
                "reported": f"the mean of the last {len(self._kept)} validations, which were on the test set",
            }
        return meta

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "kept": list(self._kept)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # the test that follows a fit loads an older checkpoint, which knows fewer validations
        if not self._kept:
            self._kept.extend(state_dict["kept"])
