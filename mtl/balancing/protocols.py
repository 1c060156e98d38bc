"""The three protocols of balancing methods, by their input: losses, the Gramian, or the task gradients.

Values that are not finite are passed on to the loss scaler or the trainer; they never enter the state of a method.
Shapes: K tasks, P shared parameters (or feature values).
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtl.balancing.method import INEXACT, NOT_FINITE, NOT_POSITIVE, OK, SINGULAR, STATIONARY, Method
from mtl.functional.gramian import widest
from mtl.functional.on_host import numbers_on


class LossWeighting(Method):
    """A method on the losses: `objective = method(losses)`.

    The task weights are the gradient of the objective with respect to the losses. If a loss is not finite, the
    objective is not finite, the state does not change, and `status` reports it.
    """

    head_gradients = "weighted"
    positive_losses: bool = False  # takes logarithms or ratios, so every loss must be above 0

    @abstractmethod
    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The scalar to minimise; its gradient with respect to the losses is the weights.

        Args:
            losses_K: losses of the present tasks, with gradient, [K].
            index_K: their indices among all tasks, to index state with one entry per task.
        """

    def forward(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        """The scalar to minimise.

        Args:
            losses: losses of all tasks, with gradient, [K].
            present: which tasks have a label in this batch; all by default. The others are ignored.
        """
        self.build(len(losses))
        index_K = _index(present, losses)
        losses_K = losses[index_K]
        if losses.dtype in (torch.float16, torch.bfloat16):
            losses_K = losses_K.float()
        if not len(index_K):
            return losses.sum() * 0
        self.check_losses(losses_K.detach())
        return self.objective(losses_K, index_K)

    def weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        """Weights of all tasks: the gradient of the objective with respect to the losses, [K].

        Args:
            losses: losses of all tasks, [K].
            present: which tasks have a label in this batch; all by default. The others get weight 0.
        """
        with torch.enable_grad():
            leaf = losses.detach().clone().requires_grad_()
            return torch.autograd.grad(self(leaf, present), leaf)[0]

    @torch.no_grad()
    def check_losses(self, losses_K: Tensor) -> None:
        """Set `status` from the losses.

        Args:
            losses_K: losses of the present tasks, [K].
        """
        finite = losses_K.isfinite().all()
        status = torch.where(finite, OK, NOT_FINITE)
        if self.positive_losses:
            status = torch.where(finite & (losses_K <= 0).any(), NOT_POSITIVE, status)
        self.status.copy_(status)


class GradientWeighting(Method):
    """A method on the Gramian: `weights = method(gramian, losses)`; the update is the weighted sum of task gradients.

    If the Gramian or a loss is not finite, all weights are 0, the state does not change, and `status` reports it. NaN
    and infinite gradients stay NaN when multiplied by 0, so a loss scaler sees them and skips the step.
    """

    never_conflicts: ClassVar[bool] = False  # guarantees (G w)_k >= 0 for all tasks

    @abstractmethod
    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """Weights of the present tasks, [K]; implementations set `status` by calling `report`.

        Args:
            gramian_KK: inner products of the gradients of the present tasks, [K,K].
            losses_K: their losses, detached, [K].
            index_K: their indices among all tasks, to index state with one entry per task.
        """

    @torch.no_grad()
    def forward(self, gramian: Tensor, losses: Tensor | None = None, present: Sequence[bool] | None = None) -> Tensor:
        """Weights of all tasks.

        Args:
            gramian: inner products of the task gradients, [K,K].
            losses: losses of all tasks, [K]; ones by default.
            present: which tasks have a label in this batch; all by default. The others get weight 0.

        Returns:
            Weights [K] in the dtype of the Gramian.
        """
        self.build(len(gramian))
        weights = torch.zeros_like(gramian[0])
        if gramian.dtype in (torch.float16, torch.bfloat16):
            gramian = gramian.float()
        losses = torch.ones_like(gramian[0]) if losses is None else losses.detach().to(gramian.dtype)
        index_K = _index(present, gramian)
        if not len(index_K):
            return weights
        gramian_KK, losses_K = gramian[index_K][:, index_K], losses[index_K]
        finite = gramian_KK.isfinite().all() & losses_K.isfinite().all()
        if gramian.device.type == "cpu" and not bool(finite):
            self.status.fill_(NOT_FINITE)
            return weights
        # on a GPU, avoid a sync: solve for the identity and discard the result
        before = [] if gramian.device.type == "cpu" else [buffer.clone() for buffer in self.buffers()]
        gramian_KK = torch.where(finite, gramian_KK, torch.eye(len(index_K), device=gramian.device))
        weights_K = self.weigh(gramian_KK, torch.where(finite, losses_K, 1.0), index_K)
        self._see_no_update(gramian_KK, weights_K)
        for buffer, old in zip(self.buffers(), before, strict=False):
            buffer.copy_(torch.where(finite, buffer, old))
        self.status.copy_(torch.where(finite, self.status, NOT_FINITE))
        weights[index_K] = torch.where(finite, weights_K, 0.0).to(weights.dtype)
        return weights

    def report(
        self, stationary: Tensor | None = None, singular: Tensor | None = None, inexact: Tensor | None = None
    ) -> None:
        """Set `status`; `weigh` calls it.

        Args:
            stationary: whether 0 is in the convex hull of the gradients, bool scalar.
            singular: whether the method's problem has no solution or several, bool scalar; `stationary` overrides it.
            inexact: whether the optimality conditions do not hold to the tolerance, bool scalar; both override it.
        """
        status = torch.full_like(self.status, OK) if inexact is None else torch.where(inexact, INEXACT, OK)
        status = status if singular is None else torch.where(singular, SINGULAR, status)
        self.status.copy_(status if stationary is None else torch.where(stationary, STATIONARY, status))

    def _see_no_update(self, gramian_KK: Tensor, weights_K: Tensor) -> None:
        """No method is ok where its update is 0 to working precision: the trunk stands still."""
        work_KK = widest(gramian_KK)
        weights_K = weights_K.to(work_KK)
        noise = 20 * len(work_KK) * torch.finfo(gramian_KK.dtype).eps
        parts = (weights_K.square() * work_KK.diagonal().clamp(min=0)).sum()
        still = weights_K @ work_KK @ weights_K <= noise * parts
        said = torch.where((weights_K >= 0).all(), STATIONARY, SINGULAR)
        self.status.copy_(torch.where(still & (self.status == OK), said, self.status))


class GradientAggregation(Method):
    """A method on the task gradients: `update = method(gradients, losses)`.

    If a gradient is not finite, the update is not finite, the state does not change, and `status` reports it.
    """

    gradient_state: ClassVar[tuple[str, ...]] = ()  # names of buffers [K,P], zeros before the first call
    task_weights: Tensor | None = None  # weights [K] of the last call, if the update is a weighted sum of the gradients

    @abstractmethod
    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The combined gradient, [P].

        Args:
            gradients_KP: gradients of the present tasks, [K,P].
            losses_K: their losses, detached, [K].
            index_K: their indices among all tasks, to index state with one entry per task.
        """

    @torch.no_grad()
    def forward(self, gradients: Tensor, losses: Tensor | None = None, present: Sequence[bool] | None = None) -> Tensor:
        """The combined gradient, [P].

        Args:
            gradients: one row per task, [K,P].
            losses: losses of all tasks, [K]; ones by default.
            present: which tasks have a label in this batch; all by default. The others are ignored.

        Raises:
            ValueError: if the method keeps state [K,P] and P changes between calls.
        """
        self.build(len(gradients))
        rows_KP = gradients.float() if gradients.dtype in (torch.float16, torch.bfloat16) else gradients
        self.make_gradient_state(rows_KP)
        losses = torch.ones_like(rows_KP[:, 0]) if losses is None else losses.detach().to(rows_KP.dtype)
        index_K = _index(present, gradients)
        if not len(index_K):
            return torch.zeros_like(gradients[0])
        rows_KP = rows_KP if len(index_K) == len(rows_KP) else rows_KP[index_K]
        # one pass, and both are NaN if any value is; isfinite takes five times as long
        smallest, largest = torch.aminmax(rows_KP)
        self.status.copy_(torch.where(smallest.isfinite() & largest.isfinite(), OK, NOT_FINITE))
        return self.combine(rows_KP, losses[index_K], index_K).to(gradients.dtype)

    def read(self, name: str, index_K: Tensor) -> Tensor:
        """The rows of the present tasks in a buffer of `gradient_state`, [K,P]; not a copy if all are present.

        Args:
            name: name of the buffer.
            index_K: indices of the present tasks.
        """
        buffer_KP: Tensor = getattr(self, name)
        return buffer_KP if len(index_K) == len(buffer_KP) else buffer_KP[index_K]

    def write(self, name: str, index_K: Tensor, rows_KP: Tensor, valid: Tensor) -> None:
        """Write the rows of the present tasks into a buffer of `gradient_state`.

        Args:
            name: name of the buffer.
            index_K: indices of the present tasks.
            rows_KP: their new rows, [K,P].
            valid: bool scalar; if false, the buffer does not change.
        """
        buffer_KP: Tensor = getattr(self, name)
        if len(index_K) == len(buffer_KP):
            torch.where(valid, rows_KP.to(buffer_KP.dtype), buffer_KP, out=buffer_KP)
        else:
            buffer_KP[index_K] = torch.where(valid, rows_KP.to(buffer_KP.dtype), buffer_KP[index_K])

    def make_gradient_state(self, gradients: Tensor) -> None:
        """Create the buffers of `gradient_state` at the first call: zeros [K,P] for all tasks.

        Args:
            gradients: [K,P]; the buffers get its number of columns and its dtype.

        Raises:
            ValueError: if the buffers exist with another number of columns.
        """
        for name in self.gradient_state:
            old_KP = getattr(self, name, None)
            if old_KP is None:
                self.register_buffer(name, gradients.new_zeros(self.num_tasks, gradients.shape[1]))
            elif old_KP.shape[1] != gradients.shape[1]:
                raise ValueError(
                    f"{type(self).__name__} averages gradients of {old_KP.shape[1]} values; now it gets "
                    f"{gradients.shape[1]}. Use at='parameters': the size of features depends on the batch."
                )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self.gradient_state:
            if f"{prefix}{name}" in state_dict:
                self.register_buffer(name, torch.zeros_like(state_dict[f"{prefix}{name}"], device=self.status.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _index(present: Sequence[bool] | None, like: Tensor) -> Tensor:
    if present is None or all(present):
        return torch.arange(len(like), device=like.device)  # created on the device: a copy from the host would sync
    rows = [row for row, is_present in enumerate(present) if is_present]
    return numbers_on(like.device, rows, torch.long)
