"""A loss method before a gradient method."""

import pytest
import torch
from torch import Tensor

from mtl.balancing.db_mtl import DBMTL
from mtl.balancing.excess_mtl import ExcessMTL
from mtl.balancing.famo import FAMO
from mtl.balancing.fixed import Fixed
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.imtl_l import IMTLL
from mtl.balancing.method import NOT_FINITE, NOT_POSITIVE
from mtl.balancing.moco import MoCo
from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.rlw import RLW
from mtl.balancing.scale_invariant import ScaleInvariant
from mtl.balancing.transformed import TransformedAggregation, TransformedWeighting
from mtl.balancing.uncertainty import Uncertainty

ROWS = torch.tensor([[1.0, 2.0, 0.0], [-3.0, 1.0, 4.0]], dtype=torch.float64)
LOSSES = torch.tensor([0.5, 4.0], dtype=torch.float64)


class _Shortest(GradientWeighting):
    """MGDA of two tasks in closed form."""

    paper = "for tests"

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        (a, b), (_, c) = gramian_KK
        first = ((c - b) / (a + c - 2 * b)).clamp(0, 1)
        return torch.stack((first, 1 - first))


def test_log_mgda_is_mgda_on_the_gradients_of_the_logarithms() -> None:
    weights = TransformedWeighting(ScaleInvariant(), _Shortest())(ROWS @ ROWS.T, LOSSES)
    logarithms = ROWS / LOSSES[:, None]
    expected = _Shortest()(logarithms @ logarithms.T) @ logarithms
    torch.testing.assert_close(weights @ ROWS, expected)


def test_without_a_gradient_method_the_weights_are_those_of_the_loss_method() -> None:
    torch.testing.assert_close(TransformedWeighting()(ROWS @ ROWS.T, LOSSES), 1 / LOSSES)


def test_an_aggregation_sees_the_transformed_gradients_and_losses() -> None:
    update = TransformedAggregation(Fixed([2.0, 0.5]), MoCo(beta=1.0, scale="loss"))(ROWS, LOSSES)
    scale = torch.tensor([2.0, 0.5], dtype=torch.float64)
    expected = MoCo(beta=1.0, scale="loss")(ROWS * scale[:, None], LOSSES * scale)
    torch.testing.assert_close(update, expected)


def test_learned_transforms_learn_by_a_term_that_reaches_nothing_else() -> None:
    method = TransformedWeighting(Uncertainty(weight_lr=0.1), _Shortest())
    losses = LOSSES.float().requires_grad_()
    term = method.parameter_loss(losses)
    assert term is not None
    term.backward()
    assert losses.grad is None
    torch.testing.assert_close(method.transform.log_variances.grad, (1 - LOSSES.float()) / 2)
    assert method.parameter_groups()[0]["lr"] == 0.1
    assert TransformedWeighting(ScaleInvariant()).parameter_loss(losses) is None


def test_heads_follow_the_transformed_losses() -> None:
    torch.testing.assert_close(TransformedWeighting().head_weights(LOSSES), 1 / LOSSES)
    chained = TransformedAggregation(Fixed([2.0, 0.5]), DBMTL()).head_weights(LOSSES)
    torch.testing.assert_close(chained, 1 / LOSSES, rtol=1e-6, atol=0)  # 2 L in a logarithm: the 2 falls out
    missing = TransformedWeighting().head_weights(LOSSES, present=[True, False])
    torch.testing.assert_close(missing, torch.tensor([2.0, 0.0], dtype=torch.float64))


def test_asking_for_the_weights_of_the_heads_changes_no_state() -> None:
    method = TransformedWeighting(RLW(), _Shortest())
    method.build(2)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    first = method.head_weights(LOSSES)
    torch.testing.assert_close(method.head_weights(LOSSES), first, rtol=0, atol=0)
    torch.testing.assert_close(dict(method.state_dict()), before, rtol=0, atol=0)
    method(ROWS @ ROWS.T, LOSSES)
    assert not torch.equal(method.head_weights(LOSSES), first)


def test_steps_and_epochs_reach_both() -> None:
    method = TransformedWeighting(FAMO())
    method.build(2)
    assert method.losses_after_step
    method(ROWS @ ROWS.T, LOSSES)
    method.observe_step(LOSSES * torch.tensor([0.5, 0.9]))
    assert isinstance(method.transform, FAMO)
    assert method.transform.logits_K[1] > method.transform.logits_K[0]


def test_a_missing_task_and_the_status_pass_through() -> None:
    method = TransformedWeighting(IMTLL(), None)
    torch.testing.assert_close(
        method(ROWS @ ROWS.T, LOSSES, present=[False, True]), torch.tensor([0.0, 1.0], dtype=torch.float64)
    )
    told = TransformedAggregation(ScaleInvariant(), GradDrop())
    told(ROWS, torch.tensor([0.0, 1.0]))
    assert told.status == NOT_POSITIVE


def test_a_resume_restores_both() -> None:
    method = TransformedAggregation(RLW(), MoCo())
    for _ in range(3):
        method(ROWS, LOSSES)
    again = TransformedAggregation(RLW(), MoCo())
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again(ROWS, LOSSES), method(ROWS, LOSSES), rtol=0, atol=0)


def test_an_aggregation_that_needs_parameters_says_so_through_the_composition() -> None:
    assert TransformedAggregation(method=MoCo()).at == ("parameters",)
    assert TransformedAggregation().at == ("features", "parameters")
    method = TransformedAggregation(method=MoCo())
    method(ROWS, LOSSES)
    with pytest.raises(ValueError, match="Use at='parameters'"):
        method(ROWS[:, :2], LOSSES)


def test_a_loss_that_is_not_finite_never_reaches_the_averages() -> None:
    method = TransformedAggregation(ScaleInvariant(), ExcessMTL())
    method(ROWS, LOSSES)
    method(ROWS, torch.tensor([torch.nan, 1.0], dtype=torch.float64))
    assert method.status == NOT_FINITE
    assert method(ROWS, LOSSES).isfinite().all()


def test_weights_for_the_heads_are_those_of_the_plain_losses() -> None:
    method = TransformedAggregation(Fixed([2.0, 0.5]), ExcessMTL())
    update = method(ROWS, LOSSES)
    assert method.head_gradients == "weighted"
    assert method.task_weights is not None
    torch.testing.assert_close(method.task_weights @ ROWS, update)
