"""No callback works twice."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor, RichModelSummary, TQDMProgressBar

from mtl.callbacks.balancing.finite_losses import FiniteLosses
from mtl.callbacks.defaults import default_callbacks
from mtl.callbacks.pictures.box_pictures import BoxPictures
from mtl.callbacks.tracking.gradient_norms import GradientNorms


def names(callbacks: list[Callback]) -> list[str]:
    return [type(callback).__name__ for callback in callbacks]


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        (FiniteLosses(on_nonfinite="drop"), "FiniteLosses"),
        (GradientNorms(every_n_logs=5), "GradientNorms"),
        (BoxPictures(num_pictures=4), "BoxPictures"),
        (TQDMProgressBar(), "RunProgress"),
        (RichModelSummary(), "PartSummary"),
        (LearningRateMonitor(), "LearningRates"),
    ],
)
def test_a_callback_of_the_user_takes_the_place_of_the_same_kind(given: Callback, left_out: str) -> None:
    every = names(default_callbacks(Path("run")))
    assert names(default_callbacks(Path("run"), [given])) == [name for name in every if name != left_out]
    assert left_out in every


def test_another_callback_takes_no_place() -> None:
    assert len(default_callbacks(Path("run"), [Callback()])) == len(default_callbacks(Path("run"))) > 10
