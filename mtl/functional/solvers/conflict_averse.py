"""Solver for CAGrad: the best point of the gradients' convex hull for a ball around the mean gradient.

min over the simplex of `g_w . g_0 + c |g_0| |g_w|`, with g_0 the mean gradient and g_w the weighted gradient.
For a known length t = |g_w|, the optimality conditions equal the conditions for the shortest vector in the hull of the
gradients shifted by (t / c) g_0 / |g_0|. While the set of active tasks (weight above 0) is constant, |g_w|^2 is linear
in t^2, which gives t.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Gram
from mtl.functional.on_host import on_host
from mtl.functional.solvers.nonnegative_qp import nonnegative_qp
from mtl.functional.solvers.optimality import conflict_averse_error

GUESSES = 10
STEPS_ON_GPU = 6
STEPS_ON_CPU = 40  # stops when solved, usually after 1 or 2


@on_host
def conflict_averse_weights(gram: Gram, c: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the vector that CAGrad adds to the mean gradient: c |g_0| along the best hull direction.

    Args:
        gram: norms and cosines.
        c: radius of the ball relative to the mean gradient, above 0.

    Returns:
        Weights w [K], so that the update is `sum (1 / K + w_k) g_k`; whether the minimiser has g_w = 0, so that its
        direction is undefined; and whether the optimality conditions hold to the tolerance. w is 0 without a direction.
    """
    search = _Search(gram, c)
    search.guess()
    for _ in range(STEPS_ON_CPU if search.on_cpu else STEPS_ON_GPU):
        search.step()
        if search.on_cpu and bool(search.converged):
            break
        search.improve()
    added_K = search.weights()
    error = torch.where(search.vanished, 0.0, conflict_averse_error(gram, added_K, c))
    # a direction with an error of its own size says nothing, and its weights may be huge
    return torch.where(error > 1, 0.0, added_K), search.vanished, error <= gram.tolerance


class _Search:
    """Search for t. Lengths are in units of the smallest norm; x is weights times norms in that unit, with a x = 1."""

    def __init__(self, gram: Gram, c: float) -> None:
        cosines_KK, norms_K, zero_K = gram[:3]
        self.gram, self.c = gram, c
        self.on_cpu = norms_K.device.type == "cpu"
        self.largest = torch.where(zero_K, 0.0, norms_K).max()
        smallest = torch.where(zero_K, torch.inf, norms_K).min()
        self.a_K = torch.where(zero_K, 1.0, smallest / norms_K)
        # a zero gradient has a zero row here; `gram` stores norm 1 for it
        live_K = (~zero_K).to(norms_K.dtype)
        self.cosines_KK = cosines_KK * torch.outer(live_K, live_K)
        share_K = live_K * norms_K / torch.where(zero_K.all(), 1.0, self.largest) / len(norms_K)
        image_K = self.cosines_KK @ share_K
        self.mean = (share_K @ image_K).clamp(min=0).sqrt()  # norm of the mean gradient / largest norm
        self.no_mean = self.mean.square() <= 10 * gram.noise * share_K.square().sum()
        self.beta_K = torch.where(self.no_mean, 0.0, image_K / self.mean).clamp(-1, 1)
        self.length = torch.ones_like(self.mean)
        self.low, self.high = torch.zeros_like(self.mean), torch.full_like(self.mean, torch.inf)
        self.active_1K = ~zero_K[None]
        self.squared = torch.ones_like(self.mean)
        self.x_K = torch.zeros_like(share_K)
        self.converged = self.vanished = self.no_mean

    def guess(self) -> None:
        """Guess the active tasks by exchanging active and inactive ones, each time at the length for the current set.

        The guess may fail; if it succeeds, the first step confirms it.
        """
        for _ in range(GUESSES):
            active_K = self.active_1K[0]
            move_K, still_K = self._directions()
            slope = move_K @ self.cosines_KK @ move_K / self.c**2
            length = (still_K @ self.cosines_KK @ still_K / (1 - slope)).sqrt()
            # a length below the noise carries no information about the next set, hence the clamp; if the set has no
            # valid length, try a longer one, which has fewer active tasks
            usable = length.isfinite() & (slope < 1)
            self.length = torch.where(usable, length.clamp(min=1e-5), 4 * self.length)
            x_K = still_K - self.length / self.c * move_K
            image_K = self.cosines_KK @ x_K + self.length / self.c * self.beta_K
            slack_K = image_K - (x_K @ image_K) * self.a_K
            wrong_K = torch.where(active_K, x_K, slack_K) < -1e-9 * x_K.abs().max()
            if self.on_cpu and bool(usable & ~wrong_K.any()):
                break
            self.active_1K = self.active_1K ^ wrong_K

    def step(self) -> None:
        """Solve for the current length."""
        # in units of the larger of shift and gradients, so that neither loses digits
        unit = (self.length / self.c).clamp(min=1.0)
        a_K, shift = self.a_K * unit, self.length / self.c / unit
        outer_KK = torch.outer(self.beta_K, a_K)
        matrix_KK = self.cosines_KK + shift * (outer_KK + outer_KK.T) + (1 + shift**2) * torch.outer(a_K, a_K)
        solution = nonnegative_qp(matrix_KK[None], a_K[None], self.active_1K)
        self.active_1K = solution.active_BK
        self.x_K = solution.x_BK[0] / (solution.x_BK[0] @ self.a_K)
        squared = self.squared = (self.x_K @ self.cosines_KK @ self.x_K).clamp(min=0)
        too_short = squared > self.length**2
        tiny = squared <= 10 * self.gram.noise * self.x_K.square().sum()
        self.vanished = self.no_mean | (tiny & ~too_short)
        self.low = torch.where(too_short, self.length, self.low)
        self.high = torch.where(too_short, self.high, self.length)
        rounding = 1e-15 * len(self.x_K) * self.x_K.square().sum()
        self.converged = self.vanished | ((squared - self.length**2).abs() <= 1e-12 * squared + rounding)

    def improve(self) -> None:
        """Move to the length at which the active tasks solve the problem if it is in the bracket, else bisect."""
        move_K, _ = self._directions()
        # the point is still - (length / c) move with orthogonal terms, so squared = still^2 + length^2 slope
        slope = move_K @ self.cosines_KK @ move_K / self.c**2
        length = ((self.squared - self.length**2 * slope) / (1 - slope)).sqrt()  # NaN if none exists
        inside = (length > self.low) & (length < self.high)
        halfway = (self.low.clamp(min=1e-3 * self.high.clamp(max=1e12)) * self.high).sqrt()
        further = torch.maximum(10 * self.length, self.squared.sqrt())
        halfway = torch.where(torch.isinf(self.high), further, halfway)
        self.length = torch.where(self.converged, self.length, torch.where(inside, length, halfway))

    def _directions(self) -> tuple[Tensor, Tensor]:
        """Direction in which the point moves with the length, and the point at length 0, for the active tasks."""
        a_K, active_K = self.a_K, self.active_1K[0].to(self.a_K.dtype)
        system_KK = (self.cosines_KK + torch.outer(a_K, a_K)) * torch.outer(active_K, active_K)
        system_KK.diagonal().add_(torch.where(self.active_1K[0], 1e-13, 1.0))
        right_K2 = torch.stack((self.beta_K, a_K), 1) * active_K[:, None]
        solved_K2: Tensor = torch.linalg.solve_ex(system_KK, right_K2)[0]
        still_K = solved_K2[:, 1] / (a_K @ solved_K2[:, 1])
        return solved_K2[:, 0] - still_K * (a_K @ solved_K2[:, 0]), still_K

    def weights(self) -> Tensor:
        """Weights of the tasks to add to 1 / K."""
        length = torch.where(self.vanished, 1.0, self.x_K @ self.cosines_KK @ self.x_K).sqrt()
        added_K = self.c * self.mean * self.largest / length * self.x_K / self.gram.norms_K
        return torch.where(self.vanished, 0.0, added_K)
