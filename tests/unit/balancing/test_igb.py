"""Improvable gap balancing."""

import torch

from mtl.balancing.igb import IGBv1


def test_sum_of_logarithms_until_the_base_is_known() -> None:
    losses = torch.tensor([0.5, 4.0])
    torch.testing.assert_close(IGBv1().weights(losses), 1 / losses)


def test_a_task_with_more_of_its_loss_left_weighs_more() -> None:
    method, losses = IGBv1(base_epoch=1), torch.tensor([1.0, 1.0])
    method.build(2)
    for mean in ([9.0, 9.0], [2.0, 1.0], [7.0, 7.0]):
        method.observe_epoch(torch.tensor(mean))
    # shares left: 1/2 and 1
    expected = 2 * torch.softmax(torch.tensor([0.5, 1.0]), dim=0)
    torch.testing.assert_close(method.weights(losses), expected)
    torch.testing.assert_close(method.base_K, torch.tensor([2.0, 1.0]))


def test_a_task_without_a_base_counts_its_gap_as_whole() -> None:
    method = IGBv1()
    method.build(2)
    method.observe_epoch(torch.tensor([2.0, torch.nan]))
    expected = 2 * torch.softmax(torch.tensor([0.5, 1.0]), dim=0) / torch.tensor([1.0, 3.0])
    torch.testing.assert_close(method.weights(torch.tensor([1.0, 3.0])), expected)
