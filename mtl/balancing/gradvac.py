"""GradVac: raise the cosine of task gradients to what is usual for the pair.

Source: Wang, Tsvetkov, Firat, Cao, "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively
Multilingual Models", ICLR 2021, arXiv:2010.05874, algorithm 1.
Shapes: K tasks, N tasks of the whole problem.
"""

import torch
from torch import Tensor

from mtl.balancing.method import GradientWeighting
from mtl.balancing.pcgrad import random_orders
from mtl.functional.gramian import geometry


class GradVac(GradientWeighting):
    """Weights of the sum of the corrected gradients.

    Task i's gradient visits every other g_j in random order. If their cosine c is below the pair's running mean m, so
    much of g_j is added that it becomes m; then m moves to (1 - beta) m + beta c. The paper keeps m for each layer;
    here the Gramian is that of the whole, as by default in LibMTL and TorchJD, which add 1e-8 to denominators.

        weights = GradVac()(gramian, losses)

    Args:
        beta: step of the running means, 0 to 1; 0.5 in LibMTL and TorchJD.
        seed: of the random orders; every rank draws the same, also after a resume.

    Raises:
        ValueError: if beta is not within 0..1.
    """

    paper = "Wang et al., Gradient Vaccine, ICLR 2021"
    symmetric = False
    scaling = "common"
    calls: Tensor
    usual_NN: Tensor

    def __init__(self, beta: float = 0.5, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"beta={beta} must be within 0..1.")
        self.beta = beta
        self.seed = seed
        self.register_buffer("calls", torch.tensor(0))

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("usual_NN", torch.zeros(num_tasks, num_tasks, dtype=torch.float64))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        order_KK = random_orders(self.seed, self.calls, self.num_tasks, index_K)
        self.calls += 1
        return self.correct(gramian_KK, order_KK, index_K)

    def correct(self, gramian_KK: Tensor, order_KK: Tensor, index_K: Tensor) -> Tensor:
        """Weights with given orders.

        Args:
            gramian_KK: inner products of the gradients.
            order_KK: which task each task visits one after the other; itself is passed over.
            index_K: which of all tasks they are.
        """
        shape = geometry(gramian_KK)
        cosines_KK = shape.cosines_KK
        row_K = torch.arange(len(cosines_KK), device=cosines_KK.device)
        factors_KK = torch.eye(len(cosines_KK), dtype=cosines_KK.dtype, device=cosines_KK.device)
        products_KK = cosines_KK.clone()
        usual_KK = self.usual_NN[index_K[:, None], index_K].to(cosines_KK.dtype)
        for visited_K in order_KK.T:
            other_K = (visited_K != row_K) & ~shape.zero_K & ~shape.zero_K[visited_K]
            length_K = (factors_KK * products_KK).sum(1).clamp(min=0).sqrt()
            cosine_K = (products_KK[row_K, visited_K] / length_K.clamp(min=1e-30)).clamp(-1, 1)
            usual_K = usual_KK[row_K, visited_K]
            sine_K, usual_sine_K = (1 - cosine_K**2).sqrt(), (1 - usual_K**2).clamp(min=1e-16).sqrt()
            added_K = length_K * (usual_K * sine_K / usual_sine_K - cosine_K)
            added_K = torch.where(other_K & (cosine_K < usual_K), added_K, 0.0)
            usual_K = torch.where(other_K, (1 - self.beta) * usual_K + self.beta * cosine_K, usual_K)
            usual_KK[row_K, visited_K] = usual_K
            factors_KK[row_K, visited_K] += added_K
            products_KK += added_K[:, None] * cosines_KK[visited_K]
        self.usual_NN[index_K[:, None], index_K] = usual_KK.to(self.usual_NN.dtype)
        weights_K = torch.where(shape.zero_K, 0.0, shape.norms_K) @ factors_KK / shape.norms_K
        self.report(shape.vanishes(weights_K))
        return weights_K
