"""Turns in order."""

import pytest

from mtl.scheduling.round_robin import RoundRobin


def test_tasks_take_turns() -> None:
    schedule = RoundRobin(2)
    schedule.build(3)
    chosen = [[task for task, active in enumerate(schedule.active(step)) if active] for step in range(3)]
    assert chosen == [[0, 1], [0, 2], [1, 2]]


def test_rejects_more_tasks_a_step_than_there_are() -> None:
    with pytest.raises(ValueError, match="tasks_per_step=4 must be at least 1 and at most the number of tasks"):
        RoundRobin(4).build(3)
    with pytest.raises(ValueError, match="tasks_per_step=0"):
        RoundRobin(0)
