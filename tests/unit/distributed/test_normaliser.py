"""A masked mean over ranks with unequal numbers of labels equals the one over the whole batch."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mtl.distributed.normaliser import global_count, masked_mean
from tests.conftest import RunRanks

INPUTS = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0], [2.0, 2.0], [9.0, 9.0], [-1.0, 1.0]])
KNOWN = torch.tensor([True, True, True, True, False, False])
RANK_OF = torch.tensor([0, 1, 1, 1, 0, 0])  # rank 0 holds 1 label of 3 samples, rank 1 holds 3 of 3
NOBODY = torch.zeros(6, dtype=torch.bool)


def gradient(net: nn.Module, inputs: Tensor, known: Tensor) -> Tensor:
    masked_mean(net(inputs).squeeze(1) ** 2, known).backward()  # type: ignore[no-untyped-call]
    (weight,) = net.parameters()
    assert weight.grad is not None
    return weight.grad


def linear() -> nn.Linear:
    net = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net.weight, 0.5)
    return net


def on_rank(rank: int, inputs: Tensor, known: Tensor) -> dict[str, Tensor]:
    here = rank == RANK_OF
    uneven = gradient(DistributedDataParallel(linear()), inputs[here], known[here])
    # rank 0 has no label at all, and still must not let rank 1 wait
    lonely = gradient(DistributedDataParallel(linear()), inputs[here], known[here] & (rank == 1))
    with torch.no_grad():  # validation: ranks may hold unequal numbers of batches, so nobody may wait
        alone = global_count(torch.tensor(4.0)) if rank == 0 else torch.tensor(4.0)
    return {"uneven": uneven, "lonely": lonely, "alone": alone}


@pytest.mark.ddp
def test_uneven_ranks_give_the_gradient_of_one_process(run_ranks: RunRanks) -> None:
    results = run_ranks(on_rank, INPUTS, KNOWN)
    for result in results:
        torch.testing.assert_close(result["uneven"], gradient(linear(), INPUTS, KNOWN))
        torch.testing.assert_close(result["lonely"], gradient(linear(), INPUTS, KNOWN & (RANK_OF == 1)))
        assert result["alone"] == 4


def test_one_process_divides_by_the_number_of_labels() -> None:
    values = torch.tensor([1.0, 5.0, 100.0])
    assert masked_mean(values, torch.tensor([True, True, False])) == 3


def test_no_label_gives_an_exact_zero_with_gradient() -> None:
    net = linear()
    loss = masked_mean(net(INPUTS).squeeze(1), NOBODY)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert net.weight.grad is not None
    assert net.weight.grad.abs().sum() == 0


def test_the_count_is_at_least_one_without_gradient_and_leaves_its_input_alone() -> None:
    count = torch.tensor(0.0)
    assert global_count(count) == 1
    assert global_count(torch.tensor(7)).dtype == torch.float32
    assert not global_count(torch.tensor(2.0, requires_grad=True)).requires_grad
    assert count == 0
