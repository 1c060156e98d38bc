"""Results as the mean of the last validations, against means taken by hand from the log of the run."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

from mtl.callbacks.tracking.last_epochs import LastEpochs


class Seen(Callback):
    """What every validation logged."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})


def on_the_test_set(tiny: Any) -> Any:
    """Data that validates on its test set, as published protocols do."""
    data = tiny.data()
    setup = data.setup

    def both(stage: str) -> None:
        setup(stage)
        data.test_set = data.val_set

    data.setup = both
    return data


def test_results_are_the_mean_of_the_last_validations(tiny: Any, tmp_path: Path) -> None:
    run = tmp_path / "tiny" / "first"
    callback = LastEpochs(2, run, show=False)
    seen = Seen()
    trainer = tiny.trainer([callback, seen], max_steps=-1, max_epochs=3)
    module, data = tiny.module(), on_the_test_set(tiny)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    results = json.loads((run / "results.json").read_text())
    meta = results.pop("meta")
    assert meta["reported"] == "the mean of the last 2 validations, which were on the test set"
    assert meta["checkpoint"] is None
    assert len(seen.values) == 3
    for key in ("score", "loss/boxes", "largest/accuracy"):
        assert results[f"test/{key}"] == pytest.approx(sum(v[f"val/{key}"] for v in seen.values[-2:]) / 2)
    # a resumed run goes on with what it has; a test in another process is a test
    other = LastEpochs(2, run)
    other.load_state_dict(callback.state_dict())
    assert list(other._kept) == list(callback._kept)
    trainer = tiny.trainer([other])
    trainer.test(module, data, verbose=False)
    assert "reported" not in json.loads((run / "results.json").read_text())["meta"]


def test_data_that_validates_on_samples_of_its_own_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validates on samples that are not its test set"):
        tiny.trainer([LastEpochs(2, tmp_path)]).fit(tiny.module(), tiny.data())
    with pytest.raises(ValueError, match="epochs=0 must be at least 1"):
        LastEpochs(0)
