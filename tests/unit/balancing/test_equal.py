"""Equal weighting."""

import pytest
import torch

from mtl.balancing.equal import Equal


@pytest.mark.parametrize(("reduction", "weight", "total"), [("sum", 1.0, 6.0), ("mean", 1 / 3, 2.0)])
def test_every_task_weighs_the_same(reduction: str, weight: float, total: float) -> None:
    method = Equal(reduction)  # type: ignore[arg-type]
    losses = torch.tensor([1.0, 2.0, 3.0])
    assert method(losses) == total
    torch.testing.assert_close(method.weights(losses), torch.full((3,), weight))


def test_the_mean_is_over_the_tasks_that_are_present() -> None:
    weights = Equal("mean").weights(torch.tensor([1.0, 2.0, 3.0]), present=[True, False, True])
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.0, 0.5]))
