"""The law for sequences: ranks whose longest sequences differ make the step of one process with the whole batch."""

import pytest
import torch
from torch import Tensor

from mtl.balancing.engine.balancer import Balancer
from mtl.balancing.engine.partition import Partition
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import Method
from mtl.balancing.upgrad import UPGrad
from tests.conftest import RunRanks

LENGTHS = (3, 7, 2, 5)  # a rank of two has those at even places, the other those at odd ones
METHODS: dict[str, type[Method]] = {"GradDrop": GradDrop, "UPGrad": UPGrad}


def step(rank: int, ranks: int, method: str, at: str) -> list[Tensor]:
    """Gradients of an embedding that two tasks share: the sum of its steps, and a number for each step."""
    generator = torch.Generator().manual_seed(0)
    words = [torch.randint(1, 9, (length,), generator=generator) for length in LENGTHS][rank::ranks]
    ids = torch.nn.utils.rnn.pad_sequence(words, batch_first=True)
    mask = ids > 0
    table = torch.randn(9, 4, generator=generator, dtype=torch.float64).requires_grad_()
    heads = [torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]
    balancer = Balancer(METHODS[method](), Partition([table], {"whole": [heads[0]], "steps": [heads[1]]}), at)  # type: ignore[arg-type]
    views = balancer.split({"h": table[ids] * mask[..., None], "h_mask": mask})
    whole = (views["whole"]["h"].sum(1) @ heads[0]).square().sum() / len(LENGTHS)
    each = ((views["steps"]["h"] @ heads[1] - 1) * mask).square().sum() / sum(LENGTHS)
    # a rank's loss is its sum over the mean count of a rank
    balancer.objective({"whole": whole * ranks, "steps": each * ranks}).backward()
    return [value.grad for value in (table, *heads) if value.grad is not None]


@pytest.mark.ddp
@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize("method", METHODS)
def test_ranks_of_other_lengths_make_the_step_of_one(method: str, at: str, run_ranks: RunRanks) -> None:
    alone = step(0, 1, method, at)
    first, second = run_ranks(step, 2, method, at)
    assert len(alone) == len(first) == len(second) == 3
    for one, here, there in zip(alone, first, second, strict=True):
        torch.testing.assert_close((here + there) / 2, one, rtol=1e-6, atol=1e-8)
