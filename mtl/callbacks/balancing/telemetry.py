"""`BalancingTelemetry`: norms, cosines and conflicts of the tasks' gradients, from the Gramian that balancing computes.

Shapes: K tasks.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from mtl.balancing.protocols import LossWeighting
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.logging_steps import is_logging_step
from mtl.drawing.balancing import draw_balancing
from mtl.drawing.figure_file import not_costing, not_hiding
from mtl.functional.gradient_similarity import gradient_similarity
from mtl.runs.metrics_csv import MetricsCSV, read_series


class BalancingTelemetry(Callback):
    """Logs gradient norms, cosines, conflicts and magnitude similarity, and draws `pictures/balancing.png`.

    Every number is a mean over the steps since the last logging step at which the method was asked; nothing is computed
    but on the K x K numbers that are there. Log keys: `balance/norm/<task>`, `balance/cosine/<task>_<task>`,
    `balance/magnitude/<task>_<task>` (2ab / (a^2 + b^2) of the norms), and over all pairs `balance/conflict_rate`,
    `balance/mean_cosine`, `balance/mean_magnitude`. Losses and weights are logged as in every run. Where the gradients
    are taken, at features or at parameters, is what `LossBalancing` says.

    To watch gradients without balancing, let the plain sum look at them:
    `LossBalancing(TransformedWeighting(Equal()))`. Any loss weighting can stand in the place of `Equal`.

    Args:
        path: the picture to write; `pictures/balancing.png` in the folder of the run by default.
        max_tasks: with more tasks than this, pairs are not logged one by one.

    Raises:
        ValueError: at the start of a run whose `LossBalancing` looks at no gradients.
    """

    def __init__(self, path: Path | None = None, max_tasks: int = 8) -> None:
        self.path = Path(path) if path is not None else None
        self.max_tasks = max_tasks
        self.names: list[str] = []
        self._seen: Tensor | None = None  # the Gramian that was added last
        self._recent = _Mean()  # since the last logging step
        self._run = _Mean()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not any(looks_at_gradients(callback) for callback in _callbacks(trainer)):
            raise ValueError(
                "BalancingTelemetry reads the gradients that LossBalancing looks at, and there is no LossBalancing "
                "with a gradient method. Add one, for example CAGrad, or TransformedWeighting with transform "
                "Equal to watch without balancing; or remove BalancingTelemetry."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        balancing = _balancing(trainer)
        self.names = balancing.names
        assert balancing.gradients is not None
        balancing.gradients.watched = True

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        gradients = _balancing(trainer).gradients
        if gradients is None or gradients.gramian is None or gradients.gramian is self._seen:
            return
        self._seen = gradients.gramian
        norms_K, cosines_KK, magnitudes_KK = gradient_similarity(self._seen)
        conflicts_KK = torch.where(cosines_KK.isnan(), torch.nan, (cosines_KK < 0).to(cosines_KK))
        rows = torch.cat((norms_K[None], cosines_KK, magnitudes_KK, conflicts_KK))
        self._recent.add(rows)
        self._run.add(rows)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if not is_logging_step(trainer, done=False) or self._recent.sums is None:
            return
        values = self._named(self._recent.value())
        pl_module.log_dict({name: value for name, value in values.items() if value == value})
        self._recent = _Mean()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with not_costing("curves of balancing"):
            self._draw(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn == "fit" and self.names:
            with not_hiding(exception, "curves of balancing"):
                self._draw(trainer)

    def state_dict(self) -> dict[str, Any]:
        recent = {"recent": self._recent.sums, "recent_counts": self._recent.counts}
        return {"run": self._run.sums, "counts": self._run.counts, **recent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run.sums, self._run.counts = state_dict["run"], state_dict["counts"]
        self._recent.sums, self._recent.counts = (state_dict.get(key) for key in ("recent", "recent_counts"))

    def _named(self, rows: Tensor) -> dict[str, float]:
        """Means by log key; NaN where no step had the number."""
        norms_K, cosines_KK, magnitudes_KK, conflicts_KK = _parts(rows.cpu())
        named = {f"balance/norm/{name}": float(norm) for name, norm in zip(self.names, norms_K, strict=True)}
        pairs = list(combinations(range(len(self.names)), 2))
        if not pairs:
            return named
        if len(self.names) <= self.max_tasks:
            for first, second in pairs:
                pair = f"{self.names[first]}_{self.names[second]}"
                named[f"balance/cosine/{pair}"] = float(cosines_KK[first, second])
                named[f"balance/magnitude/{pair}"] = float(magnitudes_KK[first, second])
        upper = torch.ones_like(cosines_KK, dtype=torch.bool).triu(1)
        named["balance/conflict_rate"] = float(conflicts_KK[upper].nanmean())
        named["balance/mean_cosine"] = float(cosines_KK[upper].nanmean())
        named["balance/mean_magnitude"] = float(magnitudes_KK[upper].nanmean())
        return named

    def _draw(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV) and trainer.is_global_zero and self._run.sums is not None:
                logger.flush()
                if logger.path.is_file():
                    cosines_KK = _parts(self._run.value().cpu())[1]
                    path = self.path or logger.path.parent / "pictures/balancing.png"
                    draw_balancing(read_series(logger.path), cosines_KK, self.names, path)


def looks_at_gradients(callback: Callback) -> bool:
    """Whether a callback balances by a method that sees gradients.

    Args:
        callback: any callback.
    """
    return isinstance(callback, LossBalancing) and not isinstance(callback.method, LossWeighting)


class _Mean:
    """The mean of tensors, NaN left out entry by entry; it stays on their device."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None
        self.counts: Tensor | None = None

    def add(self, values: Tensor) -> None:
        known = values.isfinite()
        if self.sums is None or self.counts is None:
            self.sums, self.counts = torch.zeros_like(values), torch.zeros_like(values)
        # a resumed run brings them from the CPU
        self.sums = self.sums.to(values) + torch.where(known, values, 0.0)
        self.counts = self.counts.to(values) + known

    def value(self) -> Tensor:
        assert self.sums is not None
        assert self.counts is not None
        return self.sums / self.counts  # 0 / 0 is NaN: never known


def _parts(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    num_tasks = rows.shape[1]
    cosines, magnitudes, conflicts = rows[1:].split(num_tasks)
    return rows[0], cosines, magnitudes, conflicts


def _callbacks(trainer: Trainer) -> list[Callback]:
    return list(trainer.callbacks)  # type: ignore[attr-defined]


def _balancing(trainer: Trainer) -> LossBalancing:
    found = next(callback for callback in _callbacks(trainer) if looks_at_gradients(callback))
    assert isinstance(found, LossBalancing)
    return found
