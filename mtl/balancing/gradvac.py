"""GradVac: raise the cosine of two task gradients to the pair's running mean.

Source: Wang, Tsvetkov, Firat, Cao, "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively
Multilingual Models", ICLR 2021, arXiv:2010.05874, algorithm 1.
Shapes: K present tasks, T visits (= K), N tasks in total.
"""

import torch
from torch import Tensor

from mtl.balancing.pcgrad import random_orders
from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose


class GradVac(GradientWeighting):
    """Weights of the sum of the corrected gradients.

    For task i, visit every other g_j in random order. If their cosine c is below the pair's running mean m, add as much
    of g_j as makes the cosine m; then update m to (1 - beta) m + beta c. The paper keeps one m per layer. Here one
    Gramian covers the whole network, as by default in LibMTL and TorchJD, which add 1e-8 to denominators.

        weights = GradVac()(gramian, losses)

    Args:
        beta: step size of the running means, 0 to 1; 0.5 in LibMTL and TorchJD.
        seed: random seed of the orders; every rank draws the same ones, also after a resume.

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
        """Weights for given orders of visits, [K].

        Args:
            gramian_KK: inner products of the gradients, [K,K].
            order_KK: row i is the order in which task i visits the tasks; it skips itself.
            index_K: indices of the K present tasks among all N.
        """
        gram = decompose(gramian_KK)
        cosines_KK = gram.cosines_KK
        row_K1 = torch.arange(len(cosines_KK), device=cosines_KK.device)[:, None]
        usual_KK = self.usual_NN[index_K[:, None], index_K].to(cosines_KK.dtype)
        # gathered in the order of the visits; the mean of a pair changes once per call, when it is visited
        other_KK = (order_KK != row_K1) & ~gram.zero_K[:, None] & ~gram.zero_K[order_KK]
        visited_KKK, usual_KT = cosines_KK[order_KK], usual_KK.gather(1, order_KK)
        usual_sine_KT = (1 - usual_KT**2).clamp(min=1e-16).sqrt()
        products_KK, squared_K1 = cosines_KK.clone(), torch.ones_like(row_K1, dtype=cosines_KK.dtype)
        cosines, added = [], []
        for step in range(len(cosines_KK)):
            visit = slice(step, step + 1)
            product_K1 = products_KK.gather(1, order_KK[:, visit])
            length_K1 = squared_K1.clamp(min=0).sqrt()
            cosine_K1 = (product_K1 / length_K1.clamp(min=1e-30)).clamp(-1, 1)
            wanted_K1 = usual_KT[:, visit] * (1 - cosine_K1**2).sqrt() / usual_sine_KT[:, visit]
            wrong_K1 = other_KK[:, visit] & (cosine_K1 < usual_KT[:, visit])
            added_K1 = torch.where(wrong_K1, length_K1 * (wanted_K1 - cosine_K1), 0.0)
            squared_K1 = squared_K1 + added_K1 * (2 * product_K1 + added_K1)
            products_KK.addcmul_(added_K1, visited_KKK[:, step])
            cosines.append(cosine_K1)
            added.append(added_K1)
        factors_KK = torch.eye(len(cosines_KK), dtype=cosines_KK.dtype, device=cosines_KK.device)
        factors_KK.scatter_add_(1, order_KK, torch.cat(added, 1))
        moved_KT = torch.where(other_KK, (1 - self.beta) * usual_KT + self.beta * torch.cat(cosines, 1), usual_KT)
        usual_KK = usual_KK.scatter(1, order_KK, moved_KT)
        self.usual_NN[index_K[:, None], index_K] = usual_KK.to(self.usual_NN.dtype)
        weights_K = torch.where(gram.zero_K, 0.0, gram.norms_K) @ factors_KK / gram.norms_K
        self.report(gram.vanishes(weights_K))
        return weights_K
