from itertools import pairwise

import pytest

from mtl.callbacks.distributed.rank_consensus import Poll, RankConsensus
from tests.conftest import RunRanks


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_process_looks_after_every_step() -> None:
    clock = Clock()
    looks = RankConsensus(every_s=10, clock=clock)
    clock.now = 3.0
    assert looks.poll(1) == Poll(3.0, 0)
    assert looks.poll(2, flag=15) == Poll(3.0, 15)
    looks.restart()
    clock.now = 4.0
    assert looks.poll(3) == Poll(1.0, 0)
    looks.restart(pause_s=2.0)
    clock.now = 9.0
    assert looks.poll(4) == Poll(3.0, 0)


def several(rank: int, pace_s: float, flagged: int) -> list[tuple[int, float, int]]:
    """Steps at which this rank looked, and what it learnt; the ranks' clocks differ."""
    clock = Clock()
    looks = RankConsensus(every_s=1.0, clock=clock)
    looks.start(0)
    seen = []
    for step in range(1, 400):
        clock.now += pace_s * (1 + 0.5 * rank)
        look = looks.poll(step, 2 if rank == 1 and step >= flagged else 0)
        if look is not None:
            seen.append((step, round(look.seconds, 6), look.flag))
    return seen


@pytest.mark.ddp
def test_ranks_look_at_the_same_steps_and_learn_the_same(run_ranks: RunRanks) -> None:
    first, second = run_ranks(several, 0.01, 130)
    assert first == second
    steps = [step for step, _, _ in first]
    # doubling at first, then a second of the slower rank: 66 steps of 15 ms
    assert steps[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert all(later - before <= 66 for before, later in pairwise(steps))
    assert len(steps) < 15
    assert [seconds for _, seconds, _ in first] == pytest.approx([0.015 * step for step in steps])
    assert [flag for step, _, flag in first] == [2 if step >= 130 else 0 for step in steps]
