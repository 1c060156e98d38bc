"""Balanced sampling and class weights, against frequencies that are known."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mtl.data.balanced import BalancedSampler, check_balance
from mtl.data.class_counts import from_rank_zero, give_class_counts, group_of_each
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.data.table.csv_table import CsvTable
from mtl.features import FeatureSpec
from mtl.heads.whole.classification import ClassificationHead, balanced_weights
from mtl.task import Task

GROUPS = [0] * 90 + [1] * 9 + [2]  # of 100 samples


def order(epoch: int = 0, **settings: Any) -> list[int]:
    groups = settings.pop("groups", GROUPS)
    sampler = BalancedSampler(range(len(groups)), groups, **settings)
    sampler.set_epoch(epoch)
    return [index for _, index in sampler]


def frequencies(indices: list[int], groups: list[int] = GROUPS) -> list[int]:
    counts = Counter(groups[index] for index in indices)
    return [counts[group] for group in sorted(set(groups))]


# 100 draws in proportion to n to the power of 1 - power: 90, 9 and 1; 9.49, 3 and 1 of 13.49; 1, 1 and 1
@pytest.mark.parametrize(("power", "counts"), [(1.0, [34, 33, 33]), (0.5, [70, 22, 8])])
def test_every_epoch_draws_each_class_as_often_as_its_power_says(power: float, counts: list[int]) -> None:
    for epoch in range(3):
        drawn = frequencies(order(epoch, power=power))
        assert sum(drawn) == 100
        assert all(abs(found - wanted) <= 1 for found, wanted in zip(drawn, counts, strict=True))


def test_within_a_class_every_sample_is_drawn_equally_often() -> None:
    counts = Counter(index for epoch in range(27) for index in order(epoch))
    assert {counts[index] for index in range(90)} <= {10, 11}  # 27 epochs of 34 draws are 10.2 for each of 90
    assert max(counts[index] for index in range(90, 99)) - min(counts[index] for index in range(90, 99)) <= 1


def test_samples_without_a_label_keep_their_share() -> None:
    groups = [-1] * 50 + [0] * 48 + [1] * 2
    assert frequencies(order(groups=groups), groups) == [50, 25, 25]


def test_the_order_is_a_function_of_seed_and_epoch_and_is_spread_evenly() -> None:
    assert order(3, seed=1) == order(3, seed=1)
    assert order(3, seed=1) != order(4, seed=1)
    assert order(3, seed=1) != order(3, seed=2)
    for start in range(0, 90, 10):  # any ten draws hold each third about three times
        assert all(1 <= count <= 6 for count in frequencies(order()[start : start + 10]))


def test_ranks_share_the_samples_of_one_large_batch() -> None:
    alone, ranks = order(2), [order(2, num_replicas=2, rank=rank) for rank in range(2)]
    for step in range(25):
        together = [index for rank in ranks for index in rank[2 * step : 2 * step + 2]]
        assert sorted(together) == sorted(alone[4 * step : 4 * step + 4])


def table(folder: Path, **settings: Any) -> CsvTable:
    rows = [f"{i},{'b' if i % 10 == 0 else 'a'},train" for i in range(40)] + ["0,a,val", "1,b,val"]
    (folder / "t.csv").write_text("\n".join(["x,y,part", *rows]) + "\n")
    tasks: dict[str, Any] = {"y": {"classes": ["a", "b"]}}
    data = CsvTable(str(folder / "t.csv"), tasks, numeric=["x"], split_column="part", batch_size=4, **settings)
    data.setup("fit")
    return data


def test_a_loader_is_balanced_and_resumes_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    whole = list(table(tmp_path, balance={"y": 1}).train_dataloader())
    labels = torch.cat([batch["y"] for batch in whole])
    assert labels.bincount().tolist() == [20, 20]  # of 36 and 4
    again = table(tmp_path, balance={"y": 1}).train_dataloader()
    again.load_state_dict({"epoch": 0, "batches": 3, "of": 10, "batch_size": 4, "ranks": 1})  # type: ignore[attr-defined]
    rest = list(again)
    assert [batch["y"].tolist() for batch in rest] == [batch["y"].tolist() for batch in whole[3:]]


def test_objects_count_by_the_rarest_class_of_their_sample() -> None:
    assert group_of_each([[0, 0, 1], [0], [], [0, 2], [1]]) == [1, 0, -1, 2, 1]


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({"larges": 1.0}, "Did you mean 'largest'"),
        ({"largest": 0.0}, "above 0 and at most 1"),
        ({"largest": 1.0, "boxes": 1.0}, "can be balanced by one"),
    ],
)
def test_a_wrong_balance_is_refused(balance: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_balance(balance, dict.fromkeys(("boxes", "largest")))


def test_a_task_without_classes_cannot_be_balanced() -> None:
    with pytest.raises(ValueError, match="task 'count' is of kind 'regression'"):
        DigitScenes(["count"], balance={"count": 1.0})


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    expected = compute_class_weight("balanced", classes=labels.unique().numpy(), y=labels.numpy())
    weights = balanced_weights(labels.bincount(minlength=5))
    torch.testing.assert_close(weights[[0, 1, 3]].double(), torch.from_numpy(expected), rtol=1e-6, atol=0)
    assert weights[[2, 4]].tolist() == [1, 1]
    assert float(weights[labels].mean()) == pytest.approx(1)


def head() -> ClassificationHead:
    return ClassificationHead(
        Task("y", "classification", class_names=("a", "b")),
        FeatureSpec({"c4": 6}, {"c4": 16}),
        class_weights="balanced",
    )


def test_a_head_learns_its_class_weights_from_the_training_samples_and_keeps_them_in_a_checkpoint(
    tmp_path: Path,
) -> None:
    learned, single = head(), SimpleNamespace(world_size=1)
    give_class_counts(table(tmp_path), {"heads.y": learned}, single)  # type: ignore[arg-type]
    assert learned.class_weights is not None
    torch.testing.assert_close(learned.class_weights, torch.tensor([40 / (2 * 36), 40 / (2 * 4)]))
    other = head()
    other.load_state_dict(learned.state_dict())
    torch.testing.assert_close(other.class_weights, learned.class_weights)


def test_weights_and_order_are_not_balanced_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="together they count twice"):
        give_class_counts(table(tmp_path, balance={"y": 1}), {"heads.y": head()}, None)  # type: ignore[arg-type]


def stand_in(rank: int, sent: tuple[Any, ...] | None = None) -> Any:
    """A trainer of two ranks: rank 0 broadcasts what it has, rank 1 gets what was sent."""
    strategy = SimpleNamespace(broadcast=lambda value: value if rank == 0 else sent)
    return SimpleNamespace(world_size=2, is_global_zero=rank == 0, strategy=strategy)


def test_rank_0_reads_and_its_error_reaches_the_other_ranks() -> None:
    def fails() -> int:
        raise ValueError("no label file")

    assert from_rank_zero(stand_in(0), "read", lambda: 3) == 3
    assert from_rank_zero(stand_in(1, (3, None)), "read", fails) == 3, "rank 1 does not read"
    with pytest.raises(ValueError, match="no label file"):
        from_rank_zero(stand_in(0), "read", fails)
    with pytest.raises(RuntimeError, match="rank 0 could not read: ValueError: no label file"):
        from_rank_zero(stand_in(1, (None, "ValueError: no label file")), "read", fails)
