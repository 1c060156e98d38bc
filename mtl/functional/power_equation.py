"""The equation G w = (s / w)^p of Nash-MTL (p = 1), FairGrad and PIVRG, by Newton's method.

It is the optimality of the strictly convex `w G w / 2 - sum s_k^p w_k^(1-p) / (1-p)` (p = 1: `- sum s_k log w_k`), so
there is one solution, unless 0 is in the convex hull of the gradients: then the weights grow without end.
In z = w times norms it reads C z = k z^-p with the cosines C and k = s^p norms^(p-1).
Shapes: K tasks, T step lengths.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Geometry

STEPS_ON_GPU = 24
STEPS_ON_CPU = 100  # stops when solved
HALVINGS = 6


def solve_power_equation(geometry: Geometry, power: float, preference_K: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weights w > 0 with G w = (s / w)^p.

    Args:
        geometry: norms and cosines.
        power: p, above 0.
        preference_K: s, above 0; ones by default.

    Returns:
        Weights [K], 0 for a zero gradient (its equation has no solution), and whether 0 is in the convex hull to
        working precision; the weights are then the balance at which that was seen.
    """
    cosines_KK, norms_K, zero_K = geometry[:3]
    size = norms_K.log().mean().exp()  # a common factor changes nothing but the length
    relative_K = norms_K / size
    right_K = relative_K ** (power - 1)
    if preference_K is not None:
        right_K = right_K * preference_K.to(right_K) ** power
    right_K = torch.where(zero_K, 1.0, right_K)
    z_K = _on_ray(cosines_KK, right_K, power, right_K[None] ** (1 / (1 + power)), geometry.noise)[0]
    on_cpu = z_K.device.type == "cpu"
    hull = torch.zeros((), dtype=torch.bool, device=z_K.device)
    for _ in range(STEPS_ON_CPU if on_cpu else STEPS_ON_GPU):
        next_K, decrement = _newton_step(cosines_KK, right_K, power, z_K, geometry.noise)
        z_K = torch.where(hull, z_K, next_K)
        hull = z_K @ cosines_KK @ z_K <= 10 * geometry.noise * z_K.square().sum()
        if on_cpu and (float(decrement) < 1e-20 or bool(hull)):
            break
    live_K = torch.where(zero_K, 0.0, z_K)
    # G w = (s / w)^p with w = z / norms * size^e
    weights_K = live_K / relative_K * size ** (-2 / (1 + power))
    return weights_K, hull


def _newton_step(cosines_KK: Tensor, right_K: Tensor, power: float, z_K: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """One damped step, and the squared Newton decrement relative to the objective's scale."""
    barrier_K = right_K * z_K**-power
    gradient_K = cosines_KK @ z_K - barrier_K
    # in units of z, the system has a diagonal of order one
    system_KK = cosines_KK * torch.outer(z_K, z_K)
    system_KK.diagonal().add_(power * barrier_K * z_K + noise * 1e-3 * z_K.square())
    step_K = torch.linalg.solve_ex(system_KK, -gradient_K * z_K)[0]
    decrement = -(step_K * z_K) @ gradient_K / (barrier_K @ z_K)
    longest = (0.9 / (-step_K).max().clamp(min=0.9)).clamp(max=1.0)
    halves_T = longest * 0.5 ** torch.arange(HALVINGS, device=z_K.device, dtype=z_K.dtype)
    tried_TK = _on_ray(cosines_KK, right_K, power, z_K * (1 + halves_T[:, None] * step_K), noise)
    best_K = tried_TK[_objective(cosines_KK, right_K, power, tried_TK).argmin()]
    # near the solution all objectives are equal to rounding, and the plain step is the right one
    return torch.where(decrement < 1e-3, z_K * (1 + longest * step_K), best_K), decrement


def _on_ray(cosines_KK: Tensor, right_K: Tensor, power: float, z_TK: Tensor, noise: float) -> Tensor:
    """The best multiple of each candidate, in closed form; bounded where the quadratic term vanishes."""
    quadratic_T = torch.einsum("tk,kj,tj->t", z_TK, cosines_KK, z_TK)
    quadratic_T = torch.maximum(quadratic_T, noise * z_TK.square().sum(1))
    return z_TK * ((right_K * z_TK ** (1 - power)).sum(1) / quadratic_T)[:, None] ** (1 / (1 + power))


def _objective(cosines_KK: Tensor, right_K: Tensor, power: float, z_TK: Tensor) -> Tensor:
    barrier_TK = z_TK.log() if power == 1 else z_TK ** (1 - power) / (1 - power)
    return torch.einsum("tk,kj,tj->t", z_TK, cosines_KK, z_TK) / 2 - (right_K * barrier_TK).sum(1)
