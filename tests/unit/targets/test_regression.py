"""Numbers of a sample as people read them."""

import pytest
import torch

from mtl.targets.regression import Regression
from mtl.task import Task


@pytest.mark.parametrize(
    ("value", "text"), [(0.00312, "0.00312"), (41.186, "41.186"), (-1234.5, "-1234.5"), (7.0, "7")]
)
def test_a_number_of_any_unit_keeps_its_digits(value: float, text: str) -> None:
    target = Regression(Task("dose", "regression"))
    values, batch = {"values": torch.tensor([value])}, {"dose": torch.tensor([value])}
    assert target.row(target.overlay(values, 0)) == {"dose": text}
    assert str(target.overlay(values, 0, batch).answer) == text
    assert str(target.overlay(values, 0, {"dose": torch.tensor([2.5])}).answer) == f"{text}, is 2.5"
