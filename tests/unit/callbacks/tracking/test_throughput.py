"""Samples per second against a clock that is known."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.callbacks.tracking import throughput
from mtl.callbacks.tracking.throughput import Throughput, num_samples
from mtl.runs.metrics_csv import MetricsCSV, read_series


@pytest.mark.parametrize(
    ("batch", "samples"),
    [({"image": torch.zeros(3, 1), "x": torch.zeros(9)}, 3), ({"note": "a", "y": torch.zeros(2)}, 2), ([1], 0)],
)
def test_samples_are_counted_by_the_first_tensor(batch: Any, samples: int) -> None:
    assert num_samples(batch) == samples


def test_rate_and_waiting_of_a_known_clock(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(now))
    callback = Throughput()

    class Module:
        logged: dict[str, float]

        def log_dict(self, values: dict[str, float]) -> None:
            self.logged = values

    class Trainer:
        log_every_n_steps, world_size, global_step = 2, 3, 0

    trainer, module, batch = Trainer(), Module(), {"image": torch.zeros(5, 1)}
    callback.on_train_epoch_start(trainer, module)  # type: ignore[arg-type]
    for step in range(2):
        callback.on_train_batch_start(trainer, module, batch, step)  # type: ignore[arg-type]
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, batch, step)  # type: ignore[arg-type]
    # two batches of 5 on 3 ranks; each waits a second and works a second
    assert module.logged == {"throughput/samples_per_s": pytest.approx(30 / 4), "throughput/data_wait": 0.5}


def test_accumulated_batches_are_counted_once(tiny: Any, tmp_path: Path) -> None:
    trainer = tiny.trainer(
        [Throughput()], max_steps=3, accumulate_grad_batches=2, logger=MetricsCSV(tmp_path / "m.csv")
    )
    trainer.fit(tiny.module(), tiny.data())
    steps, values = read_series(tmp_path / "m.csv")["throughput/samples_per_s"]
    assert steps == [0, 1, 2]
    assert min(values) > 0
