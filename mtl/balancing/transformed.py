"""Compose a loss method with a gradient method: log-MGDA, UW + PCGrad, IMTL-L + IMTL-G.

The loss method minimises F(L), so task k's gradient becomes a_k g_k with a_k = dF / dL_k. The gradient method receives
a_k g_k; on a Gramian, its weights times a_k are the weights of the original gradients g_k.
Shapes: K tasks, P shared parameters (or feature values).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import NOT_FINITE, Method
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.balancing.scale_invariant import ScaleInvariant


class _Transformed(Method):
    """Base of both compositions: builds both methods and passes losses and epochs on to them."""

    adapter = True
    transform: LossWeighting
    method: Method | None
    factors: Tensor | None = None  # of the last call, [K]; the method's losses after the step get the same ones

    def make_state(self, num_tasks: int) -> None:
        self.transform.build(num_tasks)
        self.losses_after_step = self.transform.losses_after_step
        if self.method is not None:
            self.method.build(num_tasks)
            self.losses_after_step = self.losses_after_step or self.method.losses_after_step

    def head_weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        factors = self._peek_factors(losses, present)
        return factors if self.method is None else factors * self.method.head_weights(factors * losses, present)

    def parameter_loss(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor | None:
        self.build(len(losses))
        terms: list[Tensor | None] = []
        if any(parameter.requires_grad for parameter in self.transform.parameters()):
            terms.append(self._peek(losses.detach(), present))
        if self.method is not None and any(parameter.requires_grad for parameter in self.method.parameters()):
            terms.append(self.method.parameter_loss(self._peek_factors(losses, present) * losses.detach(), present))
        known = [term for term in terms if term is not None]
        return sum(known[1:], known[0]) if known else None

    def observe_step(self, losses: Tensor) -> None:
        self.transform.observe_step(losses)
        if self.method is not None and self.method.losses_after_step and self.factors is not None:
            self.method.observe_step(self.factors * losses)

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        self.transform.observe_epoch(losses, scores)
        if self.method is not None:
            self.method.observe_epoch(losses, scores)

    def _peek(self, losses: Tensor, present: Sequence[bool] | None) -> Tensor:
        # on copies of the buffers: counters and averages may change only once per step, in `forward`
        self.build(len(losses))
        buffers = {name: buffer.clone() for name, buffer in self.transform.named_buffers()}
        objective: Tensor = functional_call(self.transform, buffers, (losses, present))
        return objective

    def _peek_factors(self, losses: Tensor, present: Sequence[bool] | None) -> Tensor:
        with torch.enable_grad():
            leaf = losses.detach().clone().requires_grad_()
            return torch.autograd.grad(self._peek(leaf, present), leaf)[0]

    def _factors(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf_K = losses_K.detach().clone().requires_grad_()
            self.transform.check_losses(leaf_K.detach())
            factor_K = torch.autograd.grad(self.transform.objective(leaf_K, index_K), leaf_K)[0]
        self.factors = factor_K.new_zeros(self.num_tasks).index_copy(0, index_K, factor_K)
        return factor_K


class TransformedWeighting(_Transformed, GradientWeighting):
    """A method on the Gramian, applied to transformed losses.

        method = TransformedWeighting(transform=ScaleInvariant(), method=MGDA())  # log-MGDA
        weights = method(gramian, losses)

    `gramian` and `losses` belong to the untransformed losses. A transform with parameters (UW, IMTL-L) learns them
    through `parameter_loss`, which the trainer adds to the objective; the heads get `head_weights`.

    Args:
        transform: the loss method; the logarithm (`ScaleInvariant`) by default.
        method: the method on the Gramian; None sums the transformed losses.
    """

    paper = "Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022 (log-MGDA and others)"

    def __init__(self, transform: LossWeighting | None = None, method: GradientWeighting | None = None) -> None:
        super().__init__()
        self.transform = ScaleInvariant() if transform is None else transform
        self.method = method
        if method is not None:
            self.head_gradients = method.head_gradients

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        factor_K = self._factors(losses_K, index_K)
        self.status.copy_(self.transform.status)
        if not isinstance(self.method, GradientWeighting):
            return factor_K
        weights_K = self.method.weigh(torch.outer(factor_K, factor_K) * gramian_KK, factor_K * losses_K, index_K)
        self.status.copy_(torch.maximum(self.transform.status, self.method.status))
        return factor_K * weights_K


class TransformedAggregation(_Transformed, GradientAggregation):
    """A method on the task gradients, applied to transformed losses.

        method = TransformedAggregation(transform=Uncertainty(), method=GradDrop())
        update = method(gradients, losses)

    Args:
        transform: the loss method; the logarithm (`ScaleInvariant`) by default.
        method: the method on the gradients; `GradDrop` by default.
    """

    paper = "Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022 (log-MGDA and others)"

    def __init__(self, transform: LossWeighting | None = None, method: GradientAggregation | None = None) -> None:
        super().__init__()
        self.transform = ScaleInvariant() if transform is None else transform
        self.method: GradientAggregation = GradDrop() if method is None else method
        self.at = self.method.at
        self.head_gradients = self.method.head_gradients

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        factor_K = self._factors(losses_K, index_K)
        rows_KP = factor_K[:, None] * gradients_KP
        self.method.make_gradient_state(rows_KP)
        # a factor that is not finite must not enter the averages either
        self.method.status.copy_(torch.where(factor_K.isfinite().all(), self.status, NOT_FINITE))
        update_P = self.method.combine(rows_KP, factor_K * losses_K, index_K)
        if self.method.task_weights is not None:
            assert self.factors is not None
            self.task_weights = self.factors * self.method.task_weights
        self.status.copy_(torch.maximum(self.transform.status, self.method.status))
        return update_P
