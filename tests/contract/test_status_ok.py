"""`ok` means that the optimality conditions hold, over adversarial Gramians; the conditions are computed from the rows.

Each condition below is written from the paper, without the solver's functions, in the widest float of numpy; its
tolerance is that of `mtl.functional.gramian.TOLERANCE` with a factor for the rounding of the rows themselves.
Shapes: K tasks, P parameters.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mtl.balancing.cagrad import CAGrad
from mtl.balancing.conflict_free import ConFIG
from mtl.balancing.dualproj import DualProj
from mtl.balancing.fairgrad import FairGrad
from mtl.balancing.imtl_g import IMTLG
from mtl.balancing.method import INEXACT, NOT_POSITIVE, OK, STATIONARY
from mtl.balancing.mgda import MGDA
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.pivrg import PIVRG
from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.upgrad import UPGrad
from tests.contract.kit.found import found
from tests.contract.kit.gramians import KINDS, adversarial_rows
from tests.contract.kit.methods import build

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-3
SIZES = (2, 3, 5, 12, 40)


def shortest(rows_KP: Array, weights_K: Array) -> float:
    """MGDA: g_k u >= |u|^2 for all k."""
    update_P = weights_K @ rows_KP
    squared = update_P @ update_P
    return float((squared - (rows_KP @ update_P).min()) / squared)


def conflict_averse(c: float) -> Callable[[Array, Array], float]:
    """CAGrad: the duality gap of max over the ball of min over k of g_k d."""

    def error(rows_KP: Array, weights_K: Array) -> float:
        mean_P = rows_KP.mean(0)
        added_K = weights_K - np.longdouble(1) / len(rows_KP)
        point_P = added_K @ rows_KP / added_K.sum()
        radius, length = c * np.sqrt(mean_P @ mean_P), np.sqrt(point_P @ point_P)
        gap = point_P @ mean_P + radius * length - (rows_KP @ (weights_K @ rows_KP)).min()
        off_ball = abs(np.sqrt((added_K @ rows_KP) @ (added_K @ rows_KP)) / radius - 1)
        return float(max(gap / (radius * length), off_ball))

    return error


def power(p: float) -> Callable[[Array, Array], float]:
    """Nash-MTL, FairGrad and PIVRG: (G w)_k = w_k^-p."""

    def error(rows_KP: Array, weights_K: Array) -> float:
        return float(np.abs((rows_KP @ (weights_K @ rows_KP)) * weights_K ** np.longdouble(p) - 1).max())

    return error


def equal_cosines(rows_KP: Array, weights_K: Array) -> float:
    """IMTL-G and ConFIG: the same projection of the update on every unit gradient."""
    projections_K = rows_KP @ (weights_K @ rows_KP) / np.sqrt((rows_KP**2).sum(1))
    return float((projections_K.max() - projections_K.min()) / np.abs(projections_K).max())


def no_conflict(rows_KP: Array, weights_K: Array) -> float:
    """UPGrad and DualProj: the projections are in the dual cone; relative to the update and each gradient."""
    update_P = weights_K @ rows_KP
    lengths_K = np.sqrt((rows_KP**2).sum(1))
    return float(-(rows_KP @ update_P / np.where(lengths_K > 0, lengths_K, 1)).min() / np.sqrt(update_P @ update_P))


def nearest(rows_KP: Array, weights_K: Array) -> float:
    """DualProj: besides, weights above 1 / K only where a task is orthogonal to the update."""
    update_P = weights_K @ rows_KP
    gap = ((weights_K - np.longdouble(1) / len(rows_KP)) * (rows_KP @ update_P)).sum() / (update_P @ update_P)
    return max(no_conflict(rows_KP, weights_K), float(abs(gap)))


CONDITIONS: dict[str, tuple[Callable[[], GradientWeighting], Callable[[Array, Array], float]]] = {
    "MGDA": (MGDA, shortest),
    **{f"CAGrad({c})": (lambda c=c: CAGrad(c=c), conflict_averse(c)) for c in (0.1, 0.4, 0.8, 1.0, 2.0, 10.0)},  # type: ignore[misc]
    "NashMTL": (NashMTL, power(1)),
    "FairGrad(2)": (FairGrad, power(0.5)),
    "FairGrad(1/2)": (lambda: FairGrad(0.5), power(2)),
    "PIVRG": (PIVRG, power(0.5)),
    "IMTLG": (IMTLG, equal_cosines),
    "ConFIG": (ConFIG, equal_cosines),
    "UPGrad": (UPGrad, no_conflict),
    "DualProj": (DualProj, nearest),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONDITIONS)
def test_ok_means_that_the_conditions_hold(name: str, kind: str) -> None:
    make, error = CONDITIONS[name]
    for num_tasks in SIZES:
        for seed in range(6 if num_tasks < 40 else 2):
            rows_KP = adversarial_rows(kind, num_tasks, seed)
            method = make()
            weights_K = method(rows_KP @ rows_KP.T)
            assert bool(weights_K.isfinite().all())
            if int(method.status) == OK:
                found_error = error(rows_KP.numpy().astype(np.longdouble), weights_K.numpy().astype(np.longdouble))
                assert found_error < TOLERANCE, (num_tasks, seed)


@pytest.mark.parametrize("name", CONDITIONS)
def test_ordinary_gradients_are_solved(name: str) -> None:
    for kind in ("plain", "conflicting"):
        for num_tasks in SIZES:
            for seed in range(3):
                rows_KP = adversarial_rows(kind, num_tasks, seed)
                method = CONDITIONS[name][0]()
                method(rows_KP @ rows_KP.T)
                assert int(method.status) == OK, (kind, num_tasks, seed)


@pytest.mark.parametrize("cls", found(GradientWeighting), ids=lambda cls: cls.__name__)  # type: ignore[type-abstract]
@pytest.mark.parametrize("num_tasks", [2, 5, 12])
def test_no_method_is_ok_without_an_update(cls: type[GradientWeighting], num_tasks: int) -> None:
    """Equal weights of centred gradients: whatever a method says, it must not say ok if its update vanishes."""
    rows_KP = adversarial_rows("centred", num_tasks, 0)
    method = build(cls, num_tasks)
    weights_K = method(rows_KP @ rows_KP.T)
    parts = weights_K.abs() @ rows_KP.norm(dim=1)
    assert int(method.status) != OK or float((weights_K @ rows_KP).norm()) > 1e-7 * float(parts)


@pytest.mark.parametrize("name", ["NashMTL", "FairGrad(2)", "FairGrad(1/2)", "PIVRG"])
@pytest.mark.parametrize("kind", ["centred", "opposite"])
def test_weights_at_a_stationary_point_are_those_of_gradients_without_conflict(name: str, kind: str) -> None:
    """They may weigh the heads, whose gradients do not vanish there."""
    for num_tasks in SIZES:
        rows_KP = adversarial_rows(kind, num_tasks, 1)
        method, free = CONDITIONS[name][0](), CONDITIONS[name][0]()
        weights_K = method(rows_KP @ rows_KP.T)
        lengths_K = rows_KP.norm(dim=1)
        usual_K = free(torch.diag(lengths_K.square()))
        assert int(method.status) in (STATIONARY, INEXACT)
        assert float(weights_K @ lengths_K) <= 1.001 * float(usual_K @ lengths_K)


def test_status_has_a_name_for_every_value() -> None:
    from mtl.balancing.method import STATUS

    assert STATUS[INEXACT] == "not solved to tolerance"
    assert STATUS[NOT_POSITIVE] == "a loss is not above 0"
