"""`Curves`: the metrics of a run as one PNG, also after an interruption."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.drawing.curves import draw_curves
from mtl.drawing.figure_file import not_costing, not_hiding
from mtl.runs.metrics_csv import MetricsCSV, read_series


class Curves(Callback):
    """Draws `curves.png` from `metrics.csv` when training ends, also when it is interrupted.

    Args:
        path: the file to write; `pictures/curves.png` in the folder of the run by default.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = Path(path) if path is not None else None

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with not_costing("curves"):  # the test is still to come
            self._draw(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn == "fit":
            with not_hiding(exception, "curves"):
                self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV) and trainer.is_global_zero:
                logger.flush()
                if logger.path.is_file():
                    draw_curves(read_series(logger.path), self.path or logger.path.parent / "pictures/curves.png")
