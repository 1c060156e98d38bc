"""Solve G w = (s / w)^p, the equation of Nash-MTL (p = 1), FairGrad and PIVRG, by Newton's method.

It is the optimality condition of the convex `w G w / 2 - sum s_k^p w_k^(1-p) / (1-p)` (p = 1: `- sum s_k log w_k`), so
one solution exists unless 0 is in the convex hull of the gradients, where the weights grow without bound.
With z = w times norms it becomes C z = k z^-p, where C are the cosines and k = s^p norms^(p-1).
Shapes: K tasks, T step lengths.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Gram
from mtl.functional.on_host import on_host
from mtl.functional.solvers.optimality import power_error

STEPS_ON_GPU = 24
STEPS_ON_CPU = 60  # stops when solved, usually after 4 to 8
HALVINGS = 6
SMALLEST = 1e-100  # lower bound of z; a task that the others serve well enough has a vanishing weight


@on_host
def solve_power_equation(gram: Gram, power: float, preference_K: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Weights w > 0 with G w = (s / w)^p.

    Args:
        gram: norms and cosines.
        power: p, above 0.
        preference_K: s, above 0, [K]; ones by default.

    Returns:
        Weights [K], 0 for a zero gradient (its equation has no solution); whether 0 is in the convex hull to working
        precision; and whether the equation holds to the tolerance (it may not near a Pareto-stationary point, or if
        norms differ by a factor of 1e12). Where long gradients cancel to an update below its rounding error, the
        weights are the last iterate, scaled down to their size without conflicts: the exact ones grow without
        bound there, and heads may be weighted by them.
    """
    cosines_KK, norms_K, zero_K = gram[:3]
    size = norms_K.log().mean().exp()  # a common factor changes only the norm of the update
    relative_K = norms_K / size
    right_K = relative_K ** (power - 1)
    if preference_K is not None:
        right_K = right_K * preference_K.to(right_K) ** power
    right_K = torch.where(zero_K, 1.0, right_K)
    newton = _Newton(cosines_KK, right_K, power, gram.noise)
    z_K = newton.best_on_ray(right_K[None] ** (1 / (1 + power)))
    on_cpu = z_K.device.type == "cpu"
    hull, change = z_K.new_zeros(()) > 0, z_K.new_tensor(torch.inf)
    for _ in range(STEPS_ON_CPU if on_cpu else STEPS_ON_GPU):
        next_K, change = newton.step(z_K)
        z_K = torch.where(hull, z_K, next_K)
        hull = z_K @ (cosines_KK @ z_K) <= 10 * gram.noise * z_K.square().sum()
        if on_cpu and (float(change) < 1e-7 or bool(hull)):  # the error is the square of the last change
            break
    live_K = torch.where(zero_K, 0.0, z_K)
    # G w = (s / w)^p with w = z / norms * size^e
    weights_K = live_K / relative_K * size ** (-2 / (1 + power))
    error = power_error(gram, weights_K, power, preference_K)
    unlimited = hull | (error > 1) | (gram.rounding(z_K) > gram.tolerance * (z_K @ cosines_KK @ z_K))
    usual = torch.where(zero_K, 0.0, right_K ** (1 / (1 + power))).sum()
    limit = torch.where(unlimited, usual / live_K.sum().clamp(min=usual), 1.0).nan_to_num(1.0)
    return weights_K * limit, hull, error <= gram.tolerance


class _Newton:
    """Damped Newton steps on C z = k z^-p.

    Each step tries two directions: the Newton direction of the equation, good where the quadratic term dominates, and
    the one of its logarithm in log z, which is almost linear where a weight changes by orders of magnitude.
    """

    def __init__(self, cosines_KK: Tensor, right_K: Tensor, power: float, noise: float) -> None:
        self.cosines_KK, self.right_K, self.power, self.noise = cosines_KK, right_K, power, noise
        self.lengths_T1 = 0.5 ** torch.arange(HALVINGS, device=right_K.device, dtype=right_K.dtype)[:, None]

    def step(self, z_K: Tensor) -> tuple[Tensor, Tensor]:
        """The next point, and the largest relative change of the full Newton step."""
        image_K = self.cosines_KK @ z_K
        barrier_K = self.right_K * z_K**-self.power
        # in units of z and of the larger side of the equation, all entries are of order 1
        size_K = (z_K * torch.maximum(barrier_K, image_K.abs())).rsqrt()
        system_KK = self.cosines_KK * torch.outer(z_K * size_K, z_K * size_K)
        system_KK.diagonal().add_(self.power * barrier_K * z_K * size_K.square() + 1e-3 * self.noise)
        change_K = size_K * torch.linalg.solve_ex(system_KK, (barrier_K - image_K) * z_K * size_K)[0]
        largest = change_K.abs().max()
        if z_K.device.type == "cpu" and float(largest) < 0.1:
            return z_K * (1 + change_K), largest
        damped_K = change_K * (0.9 / (-change_K).max().clamp(min=0.9))
        tried_TK = torch.cat((1 + self.lengths_T1 * damped_K, (self.lengths_T1 * self._log_change(z_K, image_K)).exp()))
        best_K = self.best_on_ray((z_K * tried_TK).clamp(min=SMALLEST))
        # near the solution all objectives are equal up to rounding; take the plain Newton step
        return torch.where(largest < 0.1, z_K * (1 + damped_K), best_K), largest

    def _log_change(self, z_K: Tensor, image_K: Tensor) -> Tensor:
        above_K = image_K > 0
        ratio_K = torch.where(above_K, image_K, 1.0)
        system_KK = self.cosines_KK * torch.where(above_K, 1 / ratio_K, 0.0)[:, None] * z_K
        system_KK.diagonal().add_(torch.where(above_K, self.power, 1.0))
        wanted_K = self.right_K.log() - ratio_K.log() - self.power * z_K.log()
        # the logarithm needs C z > 0; until then, raise only this task's z
        wanted_K = torch.where(above_K, wanted_K, torch.log1p(-image_K / z_K))
        change_K: Tensor = torch.linalg.solve_ex(system_KK, wanted_K)[0]
        return change_K.nan_to_num(0.0, 0.0, 0.0).clamp(-200, 200)

    def best_on_ray(self, z_TK: Tensor) -> Tensor:
        """The candidate with the lowest objective; each is first scaled to its best multiple, in closed form."""
        power = self.power
        quadratic_T = (z_TK @ self.cosines_KK * z_TK).sum(1)
        # without a quadratic term, the best multiple is infinite
        quadratic_T = torch.maximum(quadratic_T, self.noise * z_TK.square().sum(1))
        scale_T = ((self.right_K * z_TK ** (1 - power)).sum(1) / quadratic_T) ** (1 / (1 + power))
        z_TK = z_TK * scale_T[:, None]
        barrier_TK = z_TK.log() if power == 1 else z_TK ** (1 - power) / (1 - power)
        objective_T = scale_T.square() * quadratic_T / 2 - (self.right_K * barrier_TK).sum(1)
        # keepdim: indexing by a scalar tensor syncs
        return z_TK[objective_T.nan_to_num(torch.inf).argmin(keepdim=True)][0]
