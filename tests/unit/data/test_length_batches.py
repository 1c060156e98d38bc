"""Batches of similar length depend on seed, epoch and lengths only, are shared by the ranks, and can be resumed."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from mtl.batch import collate
from mtl.data.length_batches import LengthBatches
from mtl.data.sampling import ResumableLoader, TrainingView
from mtl.task import InputSpec, Task

LENGTHS = np.random.default_rng(0).integers(1, 60, size=101).tolist()
WORDS = {"words": InputSpec("words", "tokens", 9)}
TASKS = {"count": Task("count", "regression")}


class Sentences(Dataset[Any]):
    lengths = LENGTHS

    def __len__(self) -> int:
        return len(LENGTHS)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"words": torch.ones(LENGTHS[index], dtype=torch.long), "sample_id": index, "count": float(index)}


def batches(epoch: int = 0, **options: Any) -> list[list[tuple[int, bool]]]:
    sampler = LengthBatches(Sentences(), LENGTHS, **{"batch_size": 8, "seed": 1, **options})
    sampler.set_epoch(epoch)
    found = [[(index, counts) for _, index, counts in batch] for batch in sampler]
    assert len(found) == len(sampler)
    return found


def test_every_sample_comes_once_and_few_steps_are_padding() -> None:
    found = batches()
    assert sorted(index for batch in found for index, _ in batch) == list(range(101))
    padded = sum(len(batch) * max(-(-LENGTHS[index] // 8) * 8 for index, _ in batch) for batch in found)
    assert padded < 1.25 * sum(LENGTHS)


def test_the_batches_are_a_function_of_seed_and_epoch() -> None:
    assert batches(3) == batches(3)
    assert batches(3) != batches(4)
    assert batches(3) != batches(3, seed=2)
    assert len(batches(3)) == len(batches(4))


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_batch_of_all_ranks_is_the_batch_of_one_rank_with_more_samples(ranks: int) -> None:
    alone = batches(2, batch_size=8 * ranks)
    each = [batches(2, num_replicas=ranks, rank=rank) for rank in range(ranks)]
    for step, batch in enumerate(alone):
        together = [item for rank in each for item in rank[step]]
        assert sorted(index for index, counts in together if counts) == sorted(index for index, _ in batch)
        assert len({len(rank[step]) for rank in each}) == 1, "gradient aggregations gather equally many samples"


def test_a_budget_of_steps_limits_the_padded_batch() -> None:
    found = batches(batch_tokens=200, batch_size=100)
    sizes = [len(batch) * max(-(-LENGTHS[index] // 8) * 8 for index, _ in batch) for batch in found]
    assert max(sizes) <= 200
    assert len({len(batch) for batch in found}) > 1


def test_a_sentence_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    assert [len(batch) for batch in batches(batch_tokens=1)] == [1] * 101


def test_lengths_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="100 lengths do not fit 101 samples"):
        LengthBatches(Sentences(), LENGTHS[1:], 8)
    with pytest.raises(ValueError, match="batch_tokens=0 must be at least 1"):
        LengthBatches(Sentences(), LENGTHS, 8, 0)


def loader(workers: int = 0) -> ResumableLoader:
    view = TrainingView(Sentences(), TASKS, None, seed=0)
    sampler = LengthBatches(view, LENGTHS, 8, seed=5)
    return ResumableLoader(
        view, None, sampler=sampler, num_workers=workers, collate_fn=lambda x: collate(x, TASKS, WORDS)
    )


def ids(found: Any) -> list[list[int]]:
    return [batch["sample_id"].tolist() for batch in found]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_restored_loader_goes_on_where_the_other_stopped(workers: int) -> None:
    whole, stopped, resumed = loader(), loader(workers), loader(workers)
    for each in (whole, stopped, resumed):
        each.sampler.set_epoch(3)  # type: ignore[attr-defined]
    expected = ids(whole)
    iterator = iter(stopped)
    assert ids(next(iterator) for _ in range(4)) == expected[:4]
    resumed.load_state_dict(stopped.state_dict())
    assert ids(resumed) == expected[4:]
    assert resumed.state_dict() | {"epoch": 3, "batches": len(expected)} == resumed.state_dict()


def test_a_sample_that_pads_a_batch_has_no_labels() -> None:
    view = TrainingView(Sentences(), TASKS, None, seed=0)
    batch = collate(view[[(0, 4, True), (0, 4, False)]], TASKS, WORDS)
    assert batch["labelled/count"].tolist() == [True, False]


GROUPS = [0] * 80 + [4] * 15 + [7] * 6  # their numbers need not follow each other


def test_a_temperature_draws_small_groups_more_often_and_each_sample_of_a_group_equally() -> None:
    options = {"groups": GROUPS, "temperature": 3.0}
    found = [index for epoch in range(12) for batch in batches(epoch, **options) for index, _ in batch]
    counts = np.bincount(found, minlength=101)
    assert len(found) == 12 * 101
    weights = np.array([80, 15, 6]) ** (1 / 3)
    shares = [counts[:80].sum(), counts[80:95].sum(), counts[95:].sum()] / counts.sum()
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.01)
    for part in (counts[:80], counts[80:95], counts[95:]):
        assert part.max() - part.min() <= 1
    assert batches(3, **options) == batches(3, **options)
    assert len({len(batches(epoch, **options)) for epoch in range(4)}) == 1


def test_two_ranks_share_the_batches_of_a_temperature() -> None:
    options = {"groups": GROUPS, "temperature": 2.0, "batch_size": 4}
    one = batches(2, groups=GROUPS, temperature=2.0, batch_size=8)
    two = [batches(2, **options, num_replicas=2, rank=rank) for rank in range(2)]
    for whole, first, second in zip(one, *two, strict=True):
        assert sorted(index for index, counts in first + second if counts) == sorted(index for index, _ in whole)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.5, "groups": GROUPS}, {"temperature": 2.0}, {"temperature": 2.0, "groups": [0]}]
)
def test_a_temperature_below_one_or_without_groups_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, needs a group for each"):
        batches(**options)


def test_a_temperature_goes_without_a_budget_of_steps() -> None:
    with pytest.raises(ValueError, match="without batch_tokens"):
        batches(temperature=2.0, groups=GROUPS, batch_tokens=100)
