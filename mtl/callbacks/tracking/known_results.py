"""`KnownResults`: after the test, the run's metrics beside results that are known from elsewhere, such as floors."""

from collections.abc import Mapping

from lightning.pytorch import Callback, LightningModule, Trainer
from rich import box, get_console
from rich.table import Table

from mtl.errors import did_you_mean
from mtl.module import MultiTaskLightningModule


class KnownResults(Callback):
    """Prints a table with a row for each metric: measured, and what others reach on the same test set.

    Args:
        results: for a metric, as `crossing/auroc`, what others reach, by their name.
        source: where the numbers are from; printed below.

    Raises:
        ValueError: without results, or if one names a task that has no head.
    """

    def __init__(self, results: dict[str, dict[str, float]], source: str = "") -> None:
        if not results:
            raise ValueError("KnownResults needs `results`, such as {crossing/auroc: {linear: 0.72}}.")
        self.results, self.source = results, source

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        for key in self.results:
            task, slash, metric = key.partition("/")
            if task not in pl_module.tasks or not slash or not metric:
                raise ValueError(
                    f"KnownResults names {key!r}; expected <task>/<metric> with a task that has a head: "
                    f"{', '.join(pl_module.tasks)}.{did_you_mean(task, pl_module.tasks)}"
                )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {key.removeprefix("test/"): float(value) for key, value in trainer.callback_metrics.items()}
        get_console().print("", known_table(metrics, self.results, self.source))


def known_table(metrics: Mapping[str, float], results: Mapping[str, Mapping[str, float]], source: str = "") -> Table:
    """A row for each metric: what was measured, and what others reach.

    Args:
        metrics: measured, as `crossing/auroc`.
        results: for each metric what others reach, by their name.
        source: written below.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption=source or None, caption_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("this run", justify="right", no_wrap=True)
    table.add_column("known results")
    for key, others in results.items():
        measured = f"{metrics[key]:.3f}" if key in metrics else ""
        table.add_row(key, measured, ", ".join(f"{name} {value:.3f}" for name, value in others.items()))
    return table
