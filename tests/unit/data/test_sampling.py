"""The order of training samples depends on seed and epoch, is shared by the ranks, and can be resumed."""

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from mtl.batch import Sample, collate
from mtl.data.augment.augment import COLOR, Augment
from mtl.data.balanced import BalancedSampler
from mtl.data.sampling import EpochSampler, ResumableLoader, TrainingView


class Numbers(Dataset[Any]):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": torch.full((3, 2, 2), index), "image_id": index}


def order(sampler: EpochSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return [draw[1] for draw in sampler]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    first = EpochSampler(Numbers(), seed=1)
    assert sorted(order(first, 0)) == list(range(10))
    assert order(first, 3) == order(EpochSampler(Numbers(), seed=1), 3)
    assert order(first, 3) != order(first, 4)
    assert order(first, 3) != order(EpochSampler(Numbers(), seed=2), 3)


def test_draws_carry_their_epoch() -> None:
    sampler = EpochSampler(Numbers())
    sampler.set_epoch(7)
    assert {epoch for epoch, _ in sampler} == {7}


def test_ranks_share_the_samples_of_one_large_batch() -> None:
    alone = order(EpochSampler(Numbers(), seed=1), 2)
    ranks = [order(EpochSampler(Numbers(), seed=1, num_replicas=2, rank=rank), 2) for rank in range(2)]
    # step k with 2 samples on each of 2 ranks is step k with 4 samples on one
    for step in range(2):
        together = {index for rank in ranks for index in rank[2 * step : 2 * step + 2]}
        assert together == set(alone[4 * step : 4 * step + 4])


def test_every_rank_has_as_many_samples() -> None:
    ranks = [order(EpochSampler(Numbers(), num_replicas=4, rank=rank), 0) for rank in range(4)]
    assert [len(rank) for rank in ranks] == [3] * 4
    assert set().union(*ranks) == set(range(10))


@pytest.mark.parametrize("num", [15, 16, 17, 23, 5, 3])
def test_an_epoch_of_ranks_has_the_steps_of_one_process(num: int) -> None:
    """15 samples deal 8 and 7 to two ranks; two batches of 4 on one of them would be a step that one process lacks."""
    steps = []
    for ranks in (1, 2):
        samplers = [EpochSampler(range(num), 0, ranks, rank) for rank in range(ranks)]  # type: ignore[arg-type]
        size = 8 // ranks
        full = [sampler.only_full_batches(size) for sampler in samplers]
        assert set(full) == {num >= 8}
        draws = [list(sampler) for sampler in samplers]
        assert [len(sampler) for sampler in samplers] == [len(own) for own in draws]
        of_ranks = [[own[start : start + size] for start in range(0, len(own), size)] for own in draws]
        # a draw that makes the ranks equally long has no labels
        steps.append(
            [
                sorted(draw[1] for batch in together for draw in batch if draw[2:] != (False,))
                for together in zip(*of_ranks, strict=True)
            ]
        )
    assert steps[0] == steps[1]
    assert sum(map(len, steps[0])) == (num // 8 * 8 if num >= 8 else num)


def test_a_sample_that_comes_again_in_an_epoch_is_augmented_in_another_way() -> None:
    """Else the only picture of a rare class would be learned by heart: an epoch holds it many times."""
    data, both = Numbers(), []
    for rank in range(2):
        sampler = BalancedSampler(data, [0] * 9 + [1], num_replicas=2, rank=rank)
        sampler.set_epoch(2)
        both += [draw for draw in sampler if draw[1] == 9]
    views = TrainingView(data, {}, Augment(hue=0.5), seed=0)
    colors = [tuple(views[draw][COLOR].flatten().tolist()) for draw in both]  # type: ignore[call-overload]
    assert len(colors) == len(set(colors)) == 5


def loader(workers: int = 0) -> ResumableLoader:
    view = TrainingView(Numbers(), {}, None, seed=0)
    return ResumableLoader(
        view, 2, sampler=EpochSampler(view, seed=5), num_workers=workers, collate_fn=lambda x: collate(x, {})
    )


def ids(batches: Any) -> list[list[int]]:
    return [batch["image_id"].tolist() for batch in batches]


def test_a_restored_loader_goes_on_where_the_other_stopped() -> None:
    whole, stopped, resumed = loader(), loader(), loader()
    for each in (whole, stopped, resumed):
        each.sampler.set_epoch(3)  # type: ignore[attr-defined]
    expected = ids(whole)
    iterator = iter(stopped)
    assert ids(next(iterator) for _ in range(2)) == expected[:2]
    state = stopped.state_dict()
    assert state == {"epoch": 3, "batches": 2, "of": 5, "batch_size": 2, "ranks": 1}
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = iter(resumed)
    assert ids([next(rest)]) == expected[2:3]
    assert resumed.state_dict()["batches"] == 3
    assert ids(rest) == expected[3:]
    # the next epoch is a whole one
    resumed.sampler.set_epoch(4)  # type: ignore[attr-defined]
    whole.sampler.set_epoch(4)  # type: ignore[attr-defined]
    assert ids(resumed) == ids(whole)
    assert len(ids(resumed)) == 5


def test_a_state_of_a_finished_epoch_does_not_shorten_the_next() -> None:
    finished, resumed = loader(), loader()
    assert len(ids(finished)) == 5
    resumed.load_state_dict(finished.state_dict())
    resumed.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert len(ids(resumed)) == 5


def test_a_bare_index_is_the_first_epoch() -> None:
    view = TrainingView(Numbers(), {}, Augment(flip_horizontal=0.0), seed=0)
    assert view[3]["image_id"] == view[(0, 3)]["image_id"] == 3


class Many(Dataset[Sample]):
    """192 samples."""

    def __len__(self) -> int:
        return 192

    def __getitem__(self, index: int) -> Sample:
        return {"image": torch.zeros(3, 1, 1), "image_id": index}


def of_size(batch_size: int, ranks: int = 1, rank: int = 0) -> ResumableLoader:
    view = TrainingView(Many(), {}, None, seed=0)
    sampler = EpochSampler(view, seed=0, num_replicas=ranks, rank=rank)
    return ResumableLoader(view, batch_size, sampler=sampler, drop_last=True, collate_fn=lambda x: collate(x, {}))


@pytest.mark.parametrize(("batch_size", "ranks"), [(8, 1), (4, 2), (2, 4)])
def test_as_many_samples_a_step_finish_the_epoch_on_any_number_of_ranks(batch_size: int, ranks: int) -> None:
    first = of_size(8)
    steps = iter(first)
    done = ids(next(steps) for _ in range(10))
    rest = []
    for rank in range(ranks):
        again = of_size(batch_size, ranks, rank)
        again.load_state_dict(first.state_dict())
        rest += ids(again)
    seen = [index for batch in done + rest for index in batch]
    assert sorted(seen) == list(range(192))


@pytest.mark.parametrize(("batch_size", "ranks"), [(16, 1), (8, 2), (4, 1), (3, 3)])
def test_another_number_of_samples_a_step_is_refused_in_the_middle_of_an_epoch(batch_size: int, ranks: int) -> None:
    first = of_size(8)
    steps = iter(first)
    for _ in range(10):
        next(steps)
    with pytest.raises(ValueError, match=r"after 10 of 24 batches.*8 samples on each of 1 ranks.*a step has 8 samples"):
        of_size(batch_size, ranks).load_state_dict(first.state_dict())
    whole = of_size(8)
    assert len(ids(whole)) == 24
    again = of_size(batch_size, ranks)
    again.load_state_dict(whole.state_dict())  # an epoch that is done leaves nothing out
    again.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert len(ids(again)) == 192 // (batch_size * ranks)
