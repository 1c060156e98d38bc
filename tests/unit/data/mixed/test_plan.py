"""The plan of a mixed epoch: exact shares, every sample equally often, any number of ranks the same."""

from collections import Counter

import numpy as np
import pytest

from mtl.data.mixed.plan import MixedSampler, draws_of, shares_of

SIZES = {"small": 10, "large": 90}


@pytest.mark.parametrize(
    ("ratio", "temperature", "expected"),
    [
        ("size", 2.0, [0.1, 0.9]),
        ("equal", 2.0, [0.5, 0.5]),
        ("temperature", 2.0, [0.25, 0.75]),  # roots of 1 : 9
        ("temperature", 1.0, [0.1, 0.9]),
        ({"small": 1, "large": 3}, 2.0, [0.25, 0.75]),
        ({"small": 0, "large": 2}, 2.0, [0.0, 1.0]),
    ],
)
def test_shares(ratio: str | dict[str, float], temperature: float, expected: list[float]) -> None:
    assert shares_of(ratio, SIZES, temperature).tolist() == pytest.approx(expected)


def test_draws_are_whole_and_of_the_right_sum() -> None:
    assert draws_of(np.array([1 / 3, 1 / 3, 1 / 3]), 10).tolist() == [4, 3, 3]
    assert draws_of(np.array([0.1, 0.9]), 100).tolist() == [10, 90]


def sampler(sizes: list[int], draws: list[int], ranks: int = 1, rank: int = 0, epoch: int = 0) -> MixedSampler:
    made = MixedSampler(range(sum(sizes)), sizes, draws, 3, ranks, rank)
    made.set_epoch(epoch)
    return made


def indices(*arguments: object, **options: object) -> list[int]:
    return [draw[1] for draw in sampler(*arguments, **options)]  # type: ignore[arg-type]


def test_by_size_every_sample_comes_once_an_epoch() -> None:
    for epoch in range(3):
        assert sorted(indices([10, 90], [10, 90], epoch=epoch)) == list(range(100))
    assert indices([10, 90], [10, 90]) != indices([10, 90], [10, 90], epoch=1)


def test_over_epochs_every_sample_of_a_part_comes_equally_often() -> None:
    seen = Counter(index for epoch in range(10) for index in indices([10, 90], [27, 27], epoch=epoch))
    assert {seen[index] for index in range(10)} == {27}
    assert {seen[index] for index in range(10, 100)} == {3}


def test_any_stretch_holds_the_parts_in_about_their_shares() -> None:
    order = indices([100, 300], [100, 300])
    counts = [sum(index < 100 for index in order[start : start + 16]) for start in range(0, 400, 16)]
    # a plain shuffle would spread by 1.7
    assert np.mean(counts) == 4
    assert np.std(counts) < 1


def test_parts_do_not_alternate_so_ranks_get_both() -> None:
    for rank in range(2):
        mine = indices([50, 50], [50, 50], ranks=2, rank=rank)
        assert 15 < sum(index < 50 for index in mine) < 35


def test_two_ranks_have_together_what_one_has() -> None:
    whole = indices([7, 8], [7, 8])
    halves = [indices([7, 8], [7, 8], ranks=2, rank=rank) for rank in range(2)]
    assert [len(half) for half in halves] == [8, 8]
    together = [index for pair in zip(*halves, strict=True) for index in pair]
    assert together[:15] == whole


def test_a_resumed_epoch_skips_what_is_done() -> None:
    resumed = sampler([10, 90], [27, 27], epoch=2)
    resumed.skipped = (2, 16)
    assert [index for _, index in resumed] == indices([10, 90], [27, 27], epoch=2)[16:]


def test_a_part_with_share_0_is_left_out() -> None:
    assert min(indices([10, 90], [0, 40])) >= 10
