import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from mtl.callbacks.tracking.logger_guard import guard
from mtl.runs.metrics_csv import MetricsCSV, read_rows


class Failing(Logger):
    """Fails as often as it is told."""

    name = version = ""
    failures = 99
    calls = 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("server is gone\nand more")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        raise OSError("no space")


def test_a_failure_is_told_once_and_a_dead_logger_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    logger = Failing()
    assert guard(logger) is logger
    for step in range(30):
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()
    logger.log_hyperparams({})
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "logger Failing fails (ConnectionError: server is gone); training continues, without these numbers in it.",
        "logger Failing failed 10 times in a row (ConnectionError: server is gone); it is left alone.",
    ]
    assert logger.calls == 10


def test_a_logger_that_recovers_is_used_again() -> None:
    logger = Failing()
    logger.failures = 3
    guard(guard(logger))
    for step in range(30):
        logger.log_metrics({}, step)
    assert logger.calls == 30


def test_a_logger_works_and_travels_as_before(tmp_path: Path) -> None:
    logger = pickle.loads(pickle.dumps(guard(MetricsCSV(tmp_path / "metrics.csv"))))
    logger.log_metrics({"loss": 2.0}, 1)
    logger.finalize("success")
    assert read_rows(tmp_path / "metrics.csv") == [{"step": "1", "loss": "2.0"}]
