"""Curriculum: from equal weights to other weights."""

import pytest
import torch

from mtl.balancing.curriculum import Curriculum
from mtl.balancing.dwa import DWA
from mtl.balancing.famo import FAMO
from mtl.balancing.uncertainty import Uncertainty


def test_weights_move_in_a_line_from_equal_to_fixed() -> None:
    method = Curriculum(steps=4, start_step=1, weights=[0.2, 2.0])
    seen = torch.stack([method.weights(torch.ones(2)) for _ in range(7)])
    expected = torch.tensor([1, 1, 0.8, 0.6, 0.4, 0.2, 0.2])
    torch.testing.assert_close(seen[:, 0], expected)
    torch.testing.assert_close(seen[:, 1], torch.tensor([1, 1, 1.25, 1.5, 1.75, 2.0, 2.0]))


def test_no_steps_switch_at_once() -> None:
    method = Curriculum(steps=0, start_step=2, weights=[0.5, 3.0])
    seen = [method.weights(torch.ones(2))[0].item() for _ in range(4)]
    assert seen == [1.0, 1.0, 0.5, 0.5]


def test_the_other_method_is_told_of_epochs_and_steps_and_is_learned() -> None:
    method = Curriculum(steps=0, method=DWA())
    method.build(2)
    method.observe_epoch(torch.tensor([1.0, 1.0]))
    method.observe_epoch(torch.tensor([1.0, 0.5]))
    assert method.weights(torch.ones(2))[0] > 1
    assert Curriculum(steps=1, method=FAMO()).losses_after_step
    learned = Curriculum(steps=1, method=Uncertainty(weight_lr=0.1))
    learned.build(2)
    assert learned.parameter_groups()[0]["lr"] == 0.1


@pytest.mark.parametrize("arguments", [{}, {"method": DWA(), "weights": [1.0]}])
def test_exactly_one_end_is_asked_for(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give exactly one"):
        Curriculum(steps=3, **arguments)  # type: ignore[arg-type]
