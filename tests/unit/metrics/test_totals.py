"""Sums over an evaluation, also where nothing was seen."""

import torch

from mtl.metrics.collected import PredictionsAndTargets
from mtl.metrics.totals import Totals


def test_sums_of_nothing_are_zero_without_a_warning() -> None:
    """A metric set of a paper may feed them with labelled samples alone; warnings are errors here."""
    totals = Totals({"right": 1, "of": 2})
    assert {name: value.tolist() for name, value in totals.compute().items()} == {"right": 0.0, "of": [0.0, 0.0]}
    assert [len(flat) for flat in PredictionsAndTargets().compute()] == [0, 0]
    totals.update(right=torch.tensor(2), of=torch.tensor([3, 4]))
    assert totals.compute()["of"].tolist() == [3.0, 4.0]
