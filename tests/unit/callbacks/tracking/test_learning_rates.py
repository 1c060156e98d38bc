"""The rate of every part, at the step it was used."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.callbacks.tracking.learning_rates import LearningRates
from mtl.optim import Optim
from mtl.runs.metrics_csv import MetricsCSV, read_series


def test_every_part_has_its_learning_rate_by_name(tiny: Any, tmp_path: Path) -> None:
    optim = Optim(partial(torch.optim.SGD, lr=0.1), {"backbone": 0.5}, schedule="constant", warmup_steps=0)
    trainer = tiny.trainer([LearningRates()], max_steps=2, logger=MetricsCSV(tmp_path / "m.csv"))
    trainer.fit(tiny.module(optim=optim), tiny.data())
    rates = {name: values for name, (_, values) in read_series(tmp_path / "m.csv").items() if name.startswith("lr/")}
    assert rates == {"lr/model": pytest.approx([0.1, 0.1]), "lr/backbone": pytest.approx([0.05, 0.05])}


def test_the_rate_is_the_one_of_the_step_it_is_logged_at(tiny: Any, tmp_path: Path) -> None:
    optim = Optim(partial(torch.optim.SGD, lr=0.1), warmup_steps=4)
    trainer = tiny.trainer([LearningRates()], max_steps=4, logger=MetricsCSV(tmp_path / "m.csv"))
    trainer.fit(tiny.module(optim=optim), tiny.data())
    assert read_series(tmp_path / "m.csv")["lr/model"] == ([0, 1, 2, 3], pytest.approx([0.02, 0.04, 0.06, 0.08]))
