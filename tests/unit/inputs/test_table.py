"""The table input: standardisation against scikit-learn's, columns that say nothing, what a checkpoint holds."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from mtl.inputs.series import SeriesInput
from mtl.inputs.table import TableInput
from mtl.task import InputSpec


def adapted(rows: torch.Tensor) -> TableInput:
    prepare = TableInput(InputSpec("row", "table", rows.shape[1]))
    prepare.adapt(iter(rows))
    return prepare


def test_numbers_are_standardised_as_scikit_learn_does_it() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).normal(1000, 5, (50, 3))).float()
    rows[::7, 1] = torch.nan
    expected = np.nan_to_num(StandardScaler().fit_transform(rows.double().numpy()))
    np.testing.assert_allclose(adapted(rows)({"row": rows})["row"].numpy(), expected, rtol=1e-3, atol=1e-3)


def test_flags_stay_and_constant_columns_become_zero_for_every_value() -> None:
    rows = torch.tensor([[0.0, 0.1, 0, torch.nan], [1, 0.1, 0, torch.nan], [1, 0.1, 0, torch.nan]])
    prepare = adapted(rows)
    assert prepare({"row": rows})["row"].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert prepare({"row": torch.tensor([[1.0, 9, 1, 5]])})["row"].tolist() == [[1, 0, 0, 0]]
    assert all(value.isfinite().all() for value in prepare.state_dict().values())


def test_a_missing_flag_is_the_share_of_ones_and_a_missing_number_the_mean() -> None:
    nan = torch.nan
    rows = torch.tensor([[1.0, 10.0], [1, 30], [1, nan], [0, 20], [nan, nan]])
    prepare = adapted(rows)
    found = prepare({"row": rows})["row"]
    assert found[:, 0].tolist() == [1, 1, 1, 0, 0.75]
    assert found[[2, 4], 1].tolist() == [0, 0]
    unseen = adapted(rows[:4])  # training knows every flag
    assert unseen({"row": torch.tensor([[nan, 20.0]])})["row"].tolist() == [[0.75, 0]]


def test_a_missing_flag_of_a_series_is_the_share_of_ones_of_all_steps() -> None:
    series = [torch.tensor([[1.0], [torch.nan]]), torch.tensor([[0.0], [1], [1]])]
    spec = InputSpec("track", "series", 1)
    prepare = SeriesInput(spec)
    prepare.adapt(series)
    found = prepare(SeriesInput.collate(spec, series))["track"]
    assert found[..., 0].tolist() == [[1, 0.75, 0], [0, 1, 1]]


def test_a_checkpoint_that_does_not_know_the_share_of_ones_keeps_its_zero() -> None:
    rows = torch.tensor([[1.0, 10.0], [0, 30]])
    state = adapted(rows).state_dict()
    del state["known_mean"]
    other = TableInput(InputSpec("row", "table", 2))
    other.load_state_dict(state)
    assert other({"row": torch.full((1, 2), torch.nan)})["row"].tolist() == [[0, 0]]


def test_a_checkpoint_holds_what_was_learned() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    prepare, other = adapted(rows), TableInput(InputSpec("row", "table", 2))
    other.load_state_dict(prepare.state_dict())
    torch.testing.assert_close(other({"row": rows})["row"], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_given_numbers_are_not_replaced() -> None:
    prepare = TableInput(InputSpec("row", "table", 1), mean=[1.0], std=[2.0])
    prepare.adapt([torch.tensor([7.0]), torch.tensor([9.0])])
    assert prepare({"row": torch.tensor([[5.0]])})["row"].tolist() == [[2.0]]
    with pytest.raises(ValueError, match="give both"):
        TableInput(InputSpec("row", "table", 1), mean=[1.0])
    with pytest.raises(ValueError, match="std above 0"):
        TableInput(InputSpec("row", "table", 1), mean=[1.0], std=[0.0])
