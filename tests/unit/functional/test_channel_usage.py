"""Shares, overlaps and blocks of channels, against values computed by hand."""

import pytest
import torch

from mtl.functional.channel_usage import block_order, channel_owners, usage_overlap, usage_shares


def test_shares_sum_to_one_at_every_scale() -> None:
    usage_KC = torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 4.0]])
    shares_KC = usage_shares(usage_KC)
    assert shares_KC.tolist() == [[0.25, 0.75, 0.0], [0.25, 0.25, 0.5]]
    torch.testing.assert_close(usage_shares(usage_KC * torch.tensor([[1e-6], [1e6]])), shares_KC)


def test_overlap_is_what_two_tasks_have_in_common() -> None:
    shares_KC = torch.tensor([[0.25, 0.75, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 1.0]])
    overlap_KK = usage_overlap(shares_KC)
    assert overlap_KK.tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]


def test_blocks_hold_the_channels_of_one_owner_with_the_exclusive_ones_first() -> None:
    shares_KC = torch.tensor([[0.1, 0.5, 0.0, 0.4, 0.0], [0.5, 0.1, 0.0, 0.1, 0.3]])
    assert channel_owners(shares_KC).tolist() == [1, 0, -1, 0, 1]
    # of 5/6 and 4/5 for the first task, 1 and 5/6 for the second; the third channel serves nobody
    assert block_order(shares_KC).tolist() == [1, 3, 4, 0, 2]


def test_a_task_that_uses_nothing_is_not_known() -> None:
    shares_KC = usage_shares(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
    assert shares_KC[0].isnan().all()
    assert channel_owners(shares_KC).tolist() == [1, 1]
    overlap_KK = usage_overlap(shares_KC)
    assert overlap_KK[0].isnan().all()
    assert float(overlap_KK[1, 1]) == pytest.approx(1.0)
