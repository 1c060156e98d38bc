"""Dynamic task prioritisation."""

import math

import pytest
import torch

from mtl.balancing.task_priority import TaskPriority

ONES = torch.ones(2)


def test_the_worse_task_gets_more_attention() -> None:
    method = TaskPriority(gamma=2.0)
    torch.testing.assert_close(method.weights(ONES), ONES)
    method.observe_epoch(ONES, torch.tensor([0.9, 0.5]))
    expected = torch.tensor([-(0.1**2) * math.log(0.9), -(0.5**2) * math.log(0.5)])
    torch.testing.assert_close(method.weights(ONES), expected)


def test_scores_are_averaged_over_epochs_and_a_missing_one_is_kept() -> None:
    method = TaskPriority(momentum=0.25)
    method.build(2)
    method.observe_epoch(ONES, torch.tensor([0.4, 0.8]))
    method.observe_epoch(ONES, torch.tensor([0.8, math.nan]))
    torch.testing.assert_close(method.score_K, torch.tensor([0.5, 0.8]))


def test_weights_may_sum_to_the_number_of_tasks() -> None:
    method = TaskPriority(sum_to="tasks")
    method.build(3)
    method.observe_epoch(torch.ones(3), torch.tensor([0.9, 0.5, math.nan]))
    weights = method.weights(torch.ones(3))
    assert weights[:2].sum().item() == pytest.approx(2)
    assert weights[2] == 1


def test_a_score_of_zero_or_one_stays_finite() -> None:
    method = TaskPriority()
    method.build(2)
    method.observe_epoch(ONES, torch.tensor([0.0, 1.0]))
    weights = method.weights(ONES)
    assert weights.isfinite().all()
    assert weights[1] == 0


def test_a_negated_error_counts_as_one_over_one_plus_the_error() -> None:
    method = TaskPriority()
    method.build(2)
    method.observe_epoch(ONES, torch.tensor([-3.0, -0.25]))
    torch.testing.assert_close(method.score_K, torch.tensor([0.25, 0.8]))


def test_an_epoch_without_validation_changes_nothing_and_a_score_above_one_is_refused() -> None:
    method = TaskPriority()
    method.build(2)
    method.observe_epoch(ONES)
    assert method.score_K.isnan().all()
    with pytest.raises(ValueError, match="scores of at most 1, higher is better; got .*1.5"):
        method.observe_epoch(ONES, torch.tensor([0.5, 1.5]))


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma=-1 must be at least 0"):
        TaskPriority(gamma=-1)
