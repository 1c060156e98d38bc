import math

import pytest
import torch

from mtl.balancing.fairgrad import FairGrad
from mtl.balancing.pivrg import PIVRG

ROWS = torch.tensor([[1.0, 0.2, 0.0], [-0.6, 0.9, 0.1]], dtype=torch.float64)


def test_without_scores_it_is_fairgrad_with_alpha_two() -> None:
    torch.testing.assert_close(PIVRG()(ROWS @ ROWS.T), FairGrad(2.0)(ROWS @ ROWS.T))


def test_scores_enter_the_equation_by_hand() -> None:
    # drops of 10 % and -10 % against the baselines; T = max(20 / log 2, 10)
    method = PIVRG(baselines=[0.5, 0.8])
    method.observe_epoch(torch.ones(2), torch.tensor([0.45, 0.88]))
    temperature = 20 / math.log(2)
    preference_K = 2 * torch.softmax(torch.tensor([10 / temperature, -10 / temperature]).double(), 0)
    assert float(preference_K[0] / preference_K[1]) == pytest.approx(2)  # the bound
    weights_K = method(ROWS @ ROWS.T)
    torch.testing.assert_close(ROWS @ (weights_K @ ROWS), (preference_K / weights_K).sqrt(), rtol=1e-6, atol=0)


def test_first_scores_stand_in_for_baselines() -> None:
    method = PIVRG()
    method.observe_epoch(torch.ones(2), torch.tensor([0.5, 0.5]))
    before_K = method(ROWS @ ROWS.T)
    method.observe_epoch(torch.ones(2), torch.tensor([0.5, 0.6]))
    after_K = method(ROWS @ ROWS.T)
    assert float(after_K[0] / after_K[1]) > float(before_K[0] / before_K[1])


def test_rejects_the_wrong_number_of_baselines_and_a_bound_of_one() -> None:
    with pytest.raises(ValueError, match="baselines has 3 scores for 2 tasks"):
        PIVRG(baselines=[0.1, 0.2, 0.3])(ROWS @ ROWS.T)
    with pytest.raises(ValueError, match="bound=1 must be above 1"):
        PIVRG(bound=1)
