"""Known results stand beside the measured ones; names without a head are refused."""

from functools import partial

import pytest
from rich.console import Console

from mtl.backbones.series.convolutions import SeriesConvolutions
from mtl.callbacks.tracking.known_results import KnownResults, known_table
from mtl.data.sets.pedestrian_behaviour import PedestrianBehaviour
from mtl.heads.whole.calibrated import CalibratedHead
from mtl.module import MultiTaskLightningModule
from tests.unit.callbacks.conftest import tiny_trainer


def test_a_row_has_the_measured_number_and_those_of_others() -> None:
    table = known_table({"a/auroc": 0.91234}, {"a/auroc": {"linear": 0.7}, "b/mae": {"still": 0.0791}}, "from there")
    console = Console(width=80, record=True)
    console.print(table)
    lines = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert ["a/auroc", "0.912", "linear", "0.700"] in lines
    assert ["b/mae", "still", "0.079"] in lines
    assert ["from", "there"] in lines


def test_a_result_of_no_head_is_refused_before_training(tmp_path: object) -> None:
    inputs = PedestrianBehaviour.declare_inputs()
    backbone = partial(SeriesConvolutions, width=4, layers=1)
    module = MultiTaskLightningModule(
        PedestrianBehaviour.declare_tasks(), backbone, {"walking": CalibratedHead}, dict(inputs)
    )
    for key in ("waking/auroc", "walking"):
        with pytest.raises(ValueError, match=f"names '{key}'"):
            KnownResults({key: {"linear": 0.7}}).setup(tiny_trainer(), module, "fit")
    with pytest.raises(ValueError, match="needs `results`"):
        KnownResults({})
