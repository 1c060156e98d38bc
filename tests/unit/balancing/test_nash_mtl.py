import pytest
import torch

from mtl.balancing.cr_mogm import CRMOGM
from mtl.balancing.engine.balancer import check_settings
from mtl.balancing.fairgrad import FairGrad
from mtl.balancing.method import SINGULAR, STATIONARY
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.ntkmtl import NTKMTL
from mtl.balancing.pivrg import PIVRG


def test_every_task_gains_the_same_share() -> None:
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    weights_K = NashMTL()(rows_KP @ rows_KP.T)
    torch.testing.assert_close(weights_K * (rows_KP @ (weights_K @ rows_KP)), torch.ones(4).double())
    assert float((weights_K @ rows_KP).norm()) == pytest.approx(2)


def test_max_norm_shortens_the_update_only() -> None:
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    weights_K = NashMTL()(rows_KP @ rows_KP.T)
    torch.testing.assert_close(NashMTL(max_norm=1.0)(rows_KP @ rows_KP.T), weights_K / 2)
    torch.testing.assert_close(NashMTL(max_norm=5.0)(rows_KP @ rows_KP.T), weights_K)


def test_a_task_that_conflicts_with_the_sum_is_no_trouble() -> None:
    # the convex-concave procedure of the authors' code fails here and returns equal weights
    rows_KP = torch.tensor([[1.0, 0.0], [-5.0, 1.0]], dtype=torch.float64)
    weights_K = NashMTL()(rows_KP @ rows_KP.T)
    torch.testing.assert_close(weights_K * (rows_KP @ (weights_K @ rows_KP)), torch.ones(2).double())


def test_stationary_and_zero_gradients_are_said() -> None:
    method, rows_KP = NashMTL(), torch.tensor([[1.0, 1.0], [-2.0, -2.0]], dtype=torch.float64)
    method(rows_KP @ rows_KP.T)
    assert int(method.status) == STATIONARY
    assert method(torch.diag(torch.tensor([0.0, 4.0]))).tolist() == [0.0, 0.5]
    assert int(method.status) == SINGULAR


def test_max_norm_is_refused_where_weights_are_kept_between_steps() -> None:
    for method in (NashMTL(max_norm=1.0), CRMOGM(NashMTL(max_norm=1.0))):
        with pytest.raises(ValueError, match=r"max_norm.*every=4.*trainer.gradient_clip_val"):
            check_settings(method, "features", 4, None)
    check_settings(NashMTL(), "features", 4, None)
    check_settings(NashMTL(max_norm=1.0), "features", 1, None)


def test_methods_whose_authors_do_not_weigh_heads_leave_them_alone() -> None:
    assert [cls.head_gradients for cls in (FairGrad, PIVRG, NTKMTL)] == ["own"] * 3
    assert NashMTL.head_gradients == "weighted"
