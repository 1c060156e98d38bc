"""The problem of CAGrad: the hull point that is best within a ball around the mean gradient.

min over the simplex of `g_w . g_0 + c |g_0| |g_w|`, with g_0 the mean gradient and g_w the weighted one.
For a known length t = |g_w| it is a shortest-vector problem, of the gradients moved by (t / c) g_0 / |g_0|: the
conditions of optimality are the same. As long as the same tasks take part, |g_w|^2 is linear in t^2, which gives t.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Geometry
from mtl.functional.nonnegative_qp import nonnegative_qp

STEPS_ON_GPU = 8
STEPS_ON_CPU = 40  # stops when solved, after 2 to 4 as a rule


def conflict_averse_weights(geometry: Geometry, c: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the mean gradient plus c times its length along the best hull direction.

    Args:
        geometry: norms and cosines.
        c: radius of the ball relative to the mean gradient, above 0.

    Returns:
        Weights w [K] so that the update is `sum (1 / K + w_k) g_k`; whether the minimiser has g_w = 0, so that its
        direction is not defined and w is 0; and whether the length was found.
    """
    search = _Search(geometry, c)
    on_cpu = search.beta_K.device.type == "cpu"
    for _ in range(STEPS_ON_CPU if on_cpu else STEPS_ON_GPU):
        search.step()
        if on_cpu and bool(search.found):
            break
    return search.weights(), search.vanished, search.found


class _Search:
    """Lengths in units of the smallest norm; x are weights times norms in that unit, with a x = 1."""

    def __init__(self, geometry: Geometry, c: float) -> None:
        cosines_KK, norms_K, zero_K = geometry[:3]
        self.geometry, self.c = geometry, c
        self.largest = torch.where(zero_K, 0.0, norms_K).max()
        smallest = torch.where(zero_K, torch.inf, norms_K).min()
        self.a_K = torch.where(zero_K, 1.0, smallest / norms_K)  # all zero: 1, and no mean
        # a zero gradient takes part with a zero row, not with one of length 1
        live_K = (~zero_K).to(norms_K.dtype)
        self.cosines_KK = cosines_KK * torch.outer(live_K, live_K)
        share_K = live_K * norms_K / torch.where(zero_K.all(), 1.0, self.largest) / len(norms_K)
        image_K = self.cosines_KK @ share_K
        self.mean = (share_K @ image_K).clamp(min=0).sqrt()  # length of the mean gradient over the largest norm
        self.no_mean = self.mean.square() <= 10 * geometry.noise * share_K.square().sum()
        self.beta_K = torch.where(self.no_mean, 0.0, image_K / self.mean).clamp(-1, 1)
        self.length = torch.ones_like(self.mean)
        self.low, self.high = torch.zeros_like(self.mean), torch.full_like(self.mean, torch.inf)
        self.active_1K: Tensor | None = None
        self.x_K = torch.zeros_like(share_K)
        self.found = self.vanished = self.no_mean

    def step(self) -> None:
        """Solve for the present length, and improve it."""
        # in units of the larger of both, neither the shift nor the gradients swamp the other
        unit = (self.length / self.c).clamp(min=1.0)
        a_K, shift = self.a_K * unit, self.length / self.c / unit
        outer_KK = torch.outer(self.beta_K, a_K)
        matrix_KK = self.cosines_KK + shift * (outer_KK + outer_KK.T) + (1 + shift**2) * torch.outer(a_K, a_K)
        solution = nonnegative_qp(matrix_KK[None], a_K[None], self.active_1K)
        self.active_1K = solution.active_BK
        self.x_K = solution.x_BK[0] / (solution.x_BK[0] @ self.a_K)
        squared = (self.x_K @ self.cosines_KK @ self.x_K).clamp(min=0)
        self.vanished = self.no_mean | (squared <= 10 * self.geometry.noise * self.x_K.square().sum())
        too_short = squared > self.length**2
        self.low = torch.where(too_short, self.length, self.low)
        self.high = torch.where(too_short, self.high, self.length)
        rounding = 1e-15 * len(self.x_K) * self.x_K.square().sum()
        self.found = self.vanished | ((squared - self.length**2).abs() <= 1e-12 * squared + rounding)
        self.length = torch.where(self.found, self.length, self._improve(squared, a_K))

    def _improve(self, squared: Tensor, a_K: Tensor) -> Tensor:
        """The length at which the tasks that now take part solve the problem, if it is within the bracket."""
        assert self.active_1K is not None
        active_K = self.active_1K[0].to(a_K.dtype)
        system_KK = (self.cosines_KK + torch.outer(a_K, a_K)) * torch.outer(active_K, active_K)
        system_KK.diagonal().add_(torch.where(self.active_1K[0], 1e-13, 1.0))
        right_K2 = torch.stack((self.beta_K, a_K), 1) * active_K[:, None]
        solved_K2: Tensor = torch.linalg.solve_ex(system_KK, right_K2)[0]
        move_K = solved_K2[:, 0] - solved_K2[:, 1] * (a_K @ solved_K2[:, 0]) / (a_K @ solved_K2[:, 1])
        # the point is x - (length / c) move + ..., with x and move orthogonal: squared = still + (length / c)^2 slope
        slope = move_K @ self.cosines_KK @ move_K / self.c**2
        still = squared - self.length**2 * slope
        length = (still / (1 - slope)).sqrt()  # NaN where there is none
        inside = (length > self.low) & (length < self.high)
        halfway = (self.low.clamp(min=1e-3 * self.high.clamp(max=1e12)) * self.high).sqrt()
        halfway = torch.where(torch.isinf(self.high), torch.maximum(10 * self.length, squared.sqrt()), halfway)
        return torch.where(inside, length, halfway)

    def weights(self) -> Tensor:
        """Added weights of the tasks."""
        length = torch.where(self.vanished, 1.0, self.x_K @ self.cosines_KK @ self.x_K).sqrt()
        added_K = self.c * self.mean * self.largest / length * self.x_K / self.geometry.norms_K
        return torch.where(self.vanished, 0.0, added_K)
