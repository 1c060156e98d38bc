"""A task without progress trains more often, in the proportion that the formula says."""

import math

import pytest
import torch

from mtl.scheduling.loss_progress import LossProgress


def test_the_draws_follow_the_probabilities() -> None:
    schedule = LossProgress(temperature=0.5, share=0.4)
    schedule.build(3)
    schedule.observe_losses(torch.tensor([2.0, 2.0, 2.0]))
    assert schedule.probability_K.tolist() == pytest.approx([1 / 3] * 3)
    schedule.observe_losses(torch.tensor([2.0, 1.0, 0.5]))  # no progress, half, a quarter
    raised = [math.exp(ratio / 0.5) for ratio in (1.0, 0.5, 0.25)]
    wanted = [0.4 / 3 + 0.6 * value / sum(raised) for value in raised]
    assert schedule.probability_K.tolist() == pytest.approx(wanted)
    drawn = torch.tensor([schedule.active(step) for step in range(4000)]).float()
    assert drawn.sum(1).eq(1).all()
    assert drawn.mean(0).tolist() == pytest.approx(wanted, abs=0.03)


def test_several_tasks_of_a_step_are_different_ones() -> None:
    schedule = LossProgress(tasks_per_step=2)
    schedule.build(3)
    assert all(sum(schedule.active(step)) == 2 for step in range(50))


def test_a_task_that_did_not_train_counts_as_one_without_progress() -> None:
    schedule = LossProgress()
    schedule.build(2)
    schedule.observe_losses(torch.tensor([1.0, 1.0]))
    schedule.observe_losses(torch.tensor([math.nan, 1.0]))
    assert schedule.probability_K.tolist() == pytest.approx([0.5, 0.5])
    assert schedule.before_K.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [{"window": 0}, {"temperature": 0.0}, {"share": 0.0}, {"share": 1.1}])
def test_rejects_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        LossProgress(**wrong)  # type: ignore[arg-type]
