"""Lines in a log, bars in a terminal."""

import io
from typing import Any

import pytest
import rich
from rich.console import Console

from mtl.callbacks.tracking import progress
from mtl.callbacks.tracking.progress import RunProgress, status_line


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    """A console of 80 columns; a terminal where the test asks for one."""
    text = io.StringIO()
    terminal = getattr(request, "param", False)
    console = Console(file=text, force_terminal=terminal, force_interactive=terminal, width=80)
    monkeypatch.setattr(progress, "get_console", lambda: console)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    return text


def fit(tiny: Any, bar: RunProgress) -> None:
    trainer = tiny.trainer(
        [bar], max_steps=4, enable_progress_bar=True, val_check_interval=2, check_val_every_n_epoch=None
    )
    module, data = tiny.module(), tiny.data()
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)


def test_a_log_gets_a_line_per_validation_and_one_at_the_end(tiny: Any, screen: io.StringIO) -> None:
    fit(tiny, RunProgress())
    lines = screen.getvalue().splitlines()
    assert [line.split("  ")[0].split(" in ")[0] for line in lines] == ["step 2/4", "step 4/4", "trained 4 steps"]
    assert "left" in lines[0]
    assert "loss boxes " in lines[0]
    assert "largest " in lines[0]
    assert "score 0." in lines[0]
    assert "(best 0." in lines[0]


def test_a_log_gets_lines_while_nothing_is_validated(tiny: Any, screen: io.StringIO) -> None:
    tiny.trainer([RunProgress(plain_every_s=1e-6)], max_steps=3, enable_progress_bar=True, limit_val_batches=0).fit(
        tiny.module(), tiny.data()
    )
    assert [line.split("  ")[0] for line in screen.getvalue().splitlines()[:3]] == ["step 1/3", "step 2/3", "step 3/3"]


@pytest.mark.parametrize("screen", [True], indirect=True)
def test_a_terminal_gets_bars_that_fit_80_columns(tiny: Any, screen: io.StringIO) -> None:
    fit(tiny, RunProgress(refresh_s=1e-6))
    text = rich.text.Text.from_ansi(screen.getvalue()).plain
    rows = [row for row in text.splitlines() if row.startswith(("train ", "validate ", "test "))]
    assert {row.split()[0] for row in rows} == {"train", "validate", "test"}
    assert any("4/4" in row for row in rows)
    assert max(len(row) for row in rows) <= 80


def test_resuming_keeps_the_best_score() -> None:
    bar = RunProgress()
    bar.load_state_dict({"best": 0.75})
    assert bar.state_dict() == {"best": 0.75}


def test_a_disabled_bar_is_silent(tiny: Any, screen: io.StringIO) -> None:
    bar = RunProgress()
    bar.disable()
    fit(tiny, bar)
    assert screen.getvalue() == ""


def test_status_has_task_losses_without_their_sum() -> None:
    metrics = {"train/loss": 9.0, "train/loss/boxes": 1.5, "train/loss/scene": 0.25, "val/score": 0.5, "lr/model": 1}
    assert status_line(metrics, 0.625) == "loss boxes 1.500  scene 0.250 | score 0.500 (best 0.625)"
    assert status_line({}, None) == ""


def test_rejects_a_refresh_without_time() -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        RunProgress(refresh_s=0)
