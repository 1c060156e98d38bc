"""PCGrad: remove from each task's gradient the parts that conflict with other tasks, one by one in random order.

Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, arXiv:2001.06782, algorithm 1.
Shapes: K present tasks, N tasks in total.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.counter_random import counter_uniform
from mtl.functional.gramian import decompose


class PCGrad(GradientWeighting):
    """Weights of the sum of the projected gradients.

    Task i's gradient starts as g_i. For every other task j in random order, if it conflicts with g_j, its component
    along g_j is removed. This is done on coefficients, so only the Gramian is needed. LibMTL adds 1e-8 to squared norms
    and also projects a task against itself, which leaves conflicts that the paper's algorithm does not have.

        weights = PCGrad()(gramian, losses)

    Args:
        reduction: `sum` of the projected gradients as in the paper, or their `mean` (CAGrad's code and others).
        seed: random seed of the orders; every rank draws the same ones, also after a resume.
    """

    paper = "Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020"
    symmetric = False
    scaling = "common"
    calls: Tensor

    def __init__(self, reduction: Literal["sum", "mean"] = "sum", seed: int = 0) -> None:
        super().__init__()
        self.reduction = reduction
        self.seed = seed
        self.register_buffer("calls", torch.tensor(0))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        order_KK = random_orders(self.seed, self.calls, self.num_tasks, index_K)
        self.calls += 1
        gram = decompose(gramian_KK)
        factors_KK = project_conflicts(gram.cosines_KK, order_KK)
        weights_K = torch.where(gram.zero_K, 0.0, gram.norms_K) @ factors_KK / gram.norms_K
        self.report(gram.vanishes(weights_K))
        return weights_K / (len(weights_K) if self.reduction == "mean" else 1)


def project_conflicts(cosines_KK: Tensor, order_KK: Tensor) -> Tensor:
    """Coefficients of the projected unit gradients, one row per task, [K,K].

    Args:
        cosines_KK: cosines of the gradients, [K,K].
        order_KK: row i is the order in which task i visits the tasks; it skips itself.
    """
    row_K1 = torch.arange(len(cosines_KK), device=cosines_KK.device)[:, None]
    other_KK = (order_KK != row_K1).to(cosines_KK.dtype)
    # gathered before the loop, which runs K times: every operation in it costs time
    visited_KKK = cosines_KK[order_KK]
    products_KK, taken = cosines_KK.clone(), []
    for step in range(len(cosines_KK)):
        product_K1 = products_KK.gather(1, order_KK[:, step : step + 1]).clamp(max=0.0) * other_KK[:, step : step + 1]
        products_KK.addcmul_(product_K1, visited_KKK[:, step], value=-1)
        taken.append(product_K1)
    factors_KK = torch.eye(len(cosines_KK), dtype=cosines_KK.dtype, device=cosines_KK.device)
    factors_KK.scatter_add_(1, order_KK, -torch.cat(taken, 1))
    return factors_KK


def random_orders(seed: int, calls: Tensor, num_tasks: int, index_K: Tensor) -> Tensor:
    """Random order in which each present task visits the present tasks, one row per task, [K,K].

    Args:
        seed: random seed.
        calls: number of earlier draws, integer scalar.
        num_tasks: number of all tasks N; a missing task does not change the order of the others.
        index_K: indices of the K present tasks.
    """
    drawn_NN = counter_uniform(seed, calls, num_tasks**2, dtype=torch.float32).view(num_tasks, num_tasks)
    return drawn_NN[index_K][:, index_K].argsort(1)
