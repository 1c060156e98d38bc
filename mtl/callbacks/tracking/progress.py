"""`Progress`: one bar for the whole run in a terminal, occasional lines in a log."""

import time
from collections.abc import Iterable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich import get_console
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from mtl.runs.trainer_limits import stepping_batches


class RunProgress(ProgressBar):
    """Steps done of all steps, rate, time left, the loss of each task and the last score.

    Args:
        refresh_s: seconds between two looks at the losses, which wait for the device, in a terminal.
        plain_every_s: seconds between two lines where the output is no terminal; each validation gives a line too.
    """

    def __init__(self, refresh_s: float = 0.5, plain_every_s: float = 30.0) -> None:
        super().__init__()
        if refresh_s <= 0 or plain_every_s <= 0:
            raise ValueError(f"refresh_s={refresh_s} and plain_every_s={plain_every_s} must be above 0.")
        self.refresh_s = refresh_s
        self.plain_every_s = plain_every_s
        self._enabled = True
        self._bars: _Bars | None = None
        self._train: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._seen_at = self._started_at = 0.0
        self._started_step = 0
        self._best: float | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        get_console().print(*args)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started_at = self._seen_at = time.perf_counter()
        self._started_step = trainer.global_step
        if bars := self._open():
            self._train = bars.add_task("train", total=_total_steps(trainer), completed=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._enabled or time.perf_counter() - self._seen_at < self._every_s:
            return
        self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()
        if self._enabled:
            # the bars vanish; this line stays
            seconds = time.perf_counter() - self._started_at
            rate = (trainer.global_step - self._started_step) / max(1e-9, seconds)
            status = status_line(trainer.callback_metrics, self._best)
            _say(f"trained {trainer.global_step} steps in {_clock(seconds)} ({rate:.1f}/s)  {status}")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._begin("validate", trainer.num_val_batches)

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end()
        if trainer.sanity_checking:
            return
        score = trainer.callback_metrics.get("val/score")
        if score is not None:
            self._best = max(float(score), self._best if self._best is not None else float(score))
        if self._enabled and trainer.state.fn == "fit":
            self._show(trainer)
        if trainer.state.fn != "fit":
            self._close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("test", trainer.num_test_batches)

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._advance()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin("predict", trainer.num_predict_batches)

    def on_predict_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._advance()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # a live display left open would swallow the message
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    @property
    def _every_s(self) -> float:
        return self.refresh_s if self._bars else self.plain_every_s

    def _open(self) -> "_Bars | None":
        console = get_console()
        if self._enabled and self._bars is None and console.is_interactive and not console.is_dumb_terminal:
            self._bars = _Bars(console=console, transient=True)
            self._bars.start()
        return self._bars

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._train = self._evaluation = None

    def _begin(self, what: str, batches: Iterable[int | float] | int | float) -> None:
        if bars := self._open():
            total = sum(batches) if isinstance(batches, Iterable) else batches
            self._evaluation = bars.add_task(what, total=total if total != float("inf") else None)

    def _advance(self) -> None:
        if self._bars is not None and self._evaluation is not None:
            self._bars.advance(self._evaluation)

    def _end(self) -> None:
        if self._bars is not None and self._evaluation is not None:
            self._bars.remove_task(self._evaluation)
        self._evaluation = None

    def _show(self, trainer: Trainer) -> None:
        self._seen_at = time.perf_counter()
        status = status_line(trainer.callback_metrics, self._best)
        if self._bars is not None and self._train is not None:
            self._bars.status = Text(status, style="dim")
            self._bars.update(self._train, completed=trainer.global_step)
            return
        done, total = trainer.global_step, _total_steps(trainer)
        rate = (done - self._started_step) / max(1e-9, self._seen_at - self._started_at)
        left = f"  {_clock((total - done) / rate)} left" if total and rate > 0 else ""
        _say(f"step {done}/{total or '?'}  {rate:.1f}/s{left}  {status}")


class _Bars(Progress):
    """Rich's bars with one line of text below."""

    def __init__(self, **options: Any) -> None:
        self.status = Text("")
        super().__init__(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            expand=True,
            refresh_per_second=4,
            **options,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.status:
            yield self.status


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


def status_line(metrics: dict[str, Any], best: float | None) -> str:
    """The loss of each task and the score, in one line.

    Args:
        metrics: what was logged, by key.
        best: the best score so far.
    """
    losses = [f"{key.removeprefix('train/loss/')} {float(metrics[key]):.3f}" for key in metrics if _is_task_loss(key)]
    words = ["loss " + "  ".join(losses)] if losses else []
    if "val/score" in metrics:
        words.append(f"score {float(metrics['val/score']):.3f}" + (f" (best {best:.3f})" if best is not None else ""))
    return " | ".join(words)


def _is_task_loss(key: str) -> bool:
    return key.startswith("train/loss/") and not key.endswith(("_step", "_epoch"))


def _total_steps(trainer: Trainer) -> int | None:
    total = stepping_batches(trainer)
    return int(total) if total not in (float("inf"), -1) else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _say(line: str) -> None:
    # no wrapping: one line of a log is one state
    get_console().print(line, highlight=False, soft_wrap=True, markup=False)
