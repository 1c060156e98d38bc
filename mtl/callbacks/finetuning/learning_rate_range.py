"""`LearningRateRange`: the loss over a learning rate that grows from step to step, to choose one.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3; the rate grows by a
constant factor and the loss is smoothed, as is usual since.
"""

import csv
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.distributed.ranks import mean_over_ranks
from mtl.drawing.figure_file import not_costing
from mtl.drawing.rate_range import draw_rate_range
from mtl.errors import check_least

_log = logging.getLogger(__name__)
_SMOOTHING = 0.9  # share of the running mean that stays at a step
_DIVERGED = 4.0  # times the least smoothed loss


class LearningRateRange(Callback):
    """Raises the learning rate by a constant factor at every step and writes `lr_range.csv` and a picture.

    It works with every optimiser, balancing method and number of ranks, since it only sets rates; parts keep their
    factors. Training ends when the loss is four times its least value. The rate it names is the one at which the
    smoothed loss falls fastest. Add it by `--config presets/lr_range.yaml`, which also switches the test off: the
    weights of such a run are of no use.

    Args:
        lowest: first learning rate.
        highest: last one.
        steps: optimiser steps between them.

    Raises:
        ValueError: for rates that do not grow, or fewer than 10 steps.
    """

    def __init__(self, lowest: float = 1e-6, highest: float = 1.0, steps: int = 200) -> None:
        check_least(10, steps=steps)
        if not 0 < lowest < highest:
            raise ValueError(f"lowest={lowest} must be above 0 and below highest={highest}.")
        self.lowest, self.highest, self.steps = lowest, highest, steps
        self.rates: list[float] = []
        self.losses: list[float] = []

    def rate(self, step: int) -> float:
        """The learning rate of a step.

        Args:
            step: optimiser steps done.
        """
        return float(self.lowest * (self.highest / self.lowest) ** min(1.0, step / (self.steps - 1)))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        rate = self.rate(trainer.global_step)
        for optimizer in trainer.optimizers:
            given = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
            for group, own in zip(optimizer.param_groups, given, strict=True):
                group["lr"] = rate * own / max(given)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        assert isinstance(loss, Tensor)
        mean = mean_over_ranks(loss.float())
        self.rates.append(self.rate(max(0, trainer.global_step - 1)))
        self.losses.append(float(mean) * trainer.accumulate_grad_batches)
        smooth = smoothed(self.losses)
        # the first losses are noise
        diverged = len(smooth) > 10 and not smooth[-1] <= _DIVERGED * min(smooth)
        if diverged or trainer.global_step >= self.steps:
            trainer.should_stop = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or len(self.losses) < 3:
            return
        folder, smooth = Path(trainer.default_root_dir), smoothed(self.losses)
        best = steepest(self.rates, smooth)
        with (folder / "lr_range.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("lr", "loss", "smoothed"))
            writer.writerows(zip(self.rates, self.losses, smooth, strict=True))
        with not_costing("lr_range.png"):
            draw_rate_range(self.rates, self.losses, smooth, best, folder / "pictures/lr_range.png")
        if best is None:
            _log.warning("the loss falls at no learning rate from %g to %g; see %s", self.lowest, self.highest, folder)
        else:
            _log.info("the loss falls fastest at a learning rate of %.2g; see %s/pictures/lr_range.png", best, folder)


def smoothed(losses: Sequence[float]) -> list[float]:
    """Running means without the pull of the first value towards 0.

    Args:
        losses: of every step.
    """
    mean, means = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        means.append(mean / (1 - _SMOOTHING**number))
    return means


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The learning rate at which a smoothed loss falls fastest over the logarithm of the rate; None if it never does.

    Args:
        rates: growing learning rates, one or more steps each.
        losses: smoothed losses.
    """
    points = [(rate, loss) for rate, loss in zip(rates, losses, strict=True) if math.isfinite(loss)]
    slopes = [
        ((after[1] - before[1]) / math.log(after[0] / before[0]), here[0])
        for before, here, after in zip(points, points[1:], points[2:], strict=False)
        if after[0] > before[0]
    ]
    slope, rate = min(slopes, default=(0.0, 0.0))
    return rate if slope < 0 else None
