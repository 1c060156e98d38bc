"""`TaskGradients`: the gradients of all tasks at the cut, the call of the method, and the combined gradient.

`InBackward` receives them in the ordinary backward; `BeforeBackward` computes them beforehand.
Shapes: K tasks, L levels, B samples, D values of a sample at all levels, P shared parameters or feature values.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtl.balancing.engine.partition import Partition
from mtl.balancing.method import NOT_FINITE, Method
from mtl.balancing.protocols import GradientAggregation, GradientWeighting
from mtl.distributed.ranks import gather_samples, largest_sizes, num_ranks, own_samples, sum_over_ranks
from mtl.functional.gradient_rows import exact_dtype, gramian, weighted_sum


class TaskGradients(ABC):
    """Base class: calls the method, and combines gradients at the features.

    Args:
        method: a method on gradients.
        partition: the parameters by owner.
        at: `features` or `parameters`.
        head_gradients: `own` or `weighted`.
    """

    def __init__(
        self,
        method: Method,
        partition: Partition,
        at: Literal["features", "parameters"],
        head_gradients: Literal["own", "weighted"] = "own",
    ) -> None:
        self.partition = partition
        self.method = method
        self.at = at
        self.head_gradients = head_gradients
        self.group: dist.ProcessGroup | None = None
        self.scale = torch.ones(())  # factor on the gradients when they are computed; kept on their device
        self.keep_graph = False  # something else is differentiated through the trunk afterwards
        self.reuse = False  # keep the last weights instead of asking
        self.weights: Tensor | None = None  # [K], of the last step
        self.kept: Tensor | None = None  # [K], the last ones that the method gave for finite gradients
        self.kept_for: Sequence[bool] | None = None  # which tasks were present then
        self.gramian: Tensor | None = None  # [K,K], of the last step that had one; telemetry reads it
        self.ragged = False  # levels of the cut may be longer on one rank than on another
        self.watched = False  # keep a Gramian also for methods that do not ask for one
        self.losses: Tensor = torch.zeros(0)
        self.present: Sequence[bool] | None = None
        self._reach: list[bool] = []  # which losses reach the cut, or shared parameters behind it

    @abstractmethod
    def split(self, levels: list[Tensor], num_tasks: int) -> list[list[Tensor]]:
        """A view of every level for each task, K lists of L tensors.

        Args:
            levels: the tensors of the cut that need a gradient.
            num_tasks: number of tasks K.
        """

    @abstractmethod
    def objective(self, losses: Sequence[Tensor], global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        """The scalar that the ordinary backward starts from.

        Args:
            losses: this rank's loss of each task, K scalars with gradient.
            global_K: the losses of the whole batch.
            present: which tasks have a label in the whole batch; `None` for all.
        """

    def _those_that_reach(self, rows: Sequence[Sequence[Tensor | None]]) -> None:
        """A task whose loss does not reach the cut has no say there: it counts as one without labels."""
        self._reach = [any(part is not None for part in row) for row in rows]
        if not all(self._reach):
            present = self.present or [True] * len(self._reach)
            self.present = [here and reaches for here, reaches in zip(present, self._reach, strict=True)]

    def _reuses(self) -> bool:
        """Whether this step takes the kept weights; not if they were made without a task that is here now."""
        if not self.reuse or self.kept is None:
            return False
        then = self.kept_for or [True] * len(self.kept)
        return all(before or not now for before, now in zip(then, self.present or [True] * len(then), strict=True))

    def _ask(self, gramian_KK: Tensor) -> None:
        """Weights of this step, from the Gramian of the whole batch."""
        assert isinstance(self.method, GradientWeighting)
        self.gramian = gramian_KK
        self.weights = self.method(gramian_KK, self.losses, self.present)
        kept = torch.ones_like(self.weights) if self.kept is None else self.kept
        # the zeros of an overflow are for this step only
        self.kept = torch.where(self.method.status == NOT_FINITE, kept, self.weights)
        self.kept_for = self.present

    def _aggregate(self, rows_KP: Tensor) -> Tensor:
        """The combined gradient [P] of a method on the gradients themselves; they must cover the whole batch."""
        assert isinstance(self.method, GradientAggregation)
        combined_P: Tensor = self.method(rows_KP, self.losses, self.present)
        self.weights = self.method.task_weights
        return combined_P

    def _combine_features(
        self, rows: Sequence[Sequence[Tensor | None]], factor_K: Tensor, scale: Tensor | None = None
    ) -> list[Tensor | None]:
        """One gradient for each of L levels out of K.

        `factor_K` is what the rows carry. The result carries `scale`; without one it is plain, in the type of losses.
        """
        levels = list(zip(*rows, strict=True))
        used = [level for level in levels if any(part is not None for part in level)]
        if not used:
            self.weights = None
            return [None] * len(levels)
        # a row with factor 0 is 0
        factor_K = torch.where(factor_K == 0, 1.0, factor_K).to(exact_dtype(factor_K))
        dtype = self.losses.dtype if scale is None else None
        scale = torch.ones_like(factor_K[0]) if scale is None else scale
        if isinstance(self.method, GradientAggregation):
            if self.watched:
                self.gramian = self._gramian_at_features(used, factor_K)
            parts = iter(self._aggregate_features(used, factor_K, scale, dtype))
        else:
            if self._reuses():
                self.weights = self.kept
            else:
                self._ask(self._gramian_at_features(used, factor_K))
            assert self.weights is not None
            coefficient_K = self.weights.to(factor_K) * scale / factor_K
            parts = (weighted_sum(level, coefficient_K, dtype) for level in used)
        return [next(parts) if any(part is not None for part in level) else None for level in levels]

    def _gramian_at_features(self, levels: Sequence[Sequence[Tensor | None]], factor_K: Tensor) -> Tensor:
        local_KK = torch.stack([gramian(level) for level in levels]).sum(0) / torch.outer(factor_K, factor_K)
        # a rank's loss is its sum over the mean count of a rank, so that DDP's mean over ranks is right
        return sum_over_ranks(local_KK, self.group) / num_ranks() ** 2

    def _aggregate_features(
        self, levels: Sequence[Sequence[Tensor | None]], factor_K: Tensor, scale: Tensor, dtype: torch.dtype | None
    ) -> Sequence[Tensor]:
        """A method on the gradients themselves sees all samples of all ranks, as one process would."""
        like = [next(part for part in level if part is not None) for level in levels]
        shapes = [part.shape[1:] for part in like]
        padded = largest_sizes(shapes, like[0].device, self.group) if self.ragged else shapes
        rows_KBD = torch.stack(
            [
                torch.cat([_flat(part, level, size) for part, level, size in zip(row, like, padded, strict=True)], 1)
                for row in zip(*levels, strict=True)
            ]
        )
        rows_KBD /= factor_K.to(rows_KBD)[:, None, None] * num_ranks()
        everywhere_KBD = gather_samples(rows_KBD, self.group)
        combined_P = self._aggregate(everywhere_KBD.flatten(1))
        combined_BD = own_samples(combined_P.view_as(everywhere_KBD[0])) * (scale * num_ranks())
        combined = combined_BD.split([shape.numel() for shape in padded], dim=1)
        return [
            _cut_to(part_BD.unflatten(1, shape), level).to(dtype or level.dtype)
            for part_BD, shape, level in zip(combined, padded, like, strict=True)
        ]


def _flat(part: Tensor | None, like: Tensor, shape: torch.Size) -> Tensor:
    """One row [B,D] for each sample, in float32, with zeros behind what a rank has less than others."""
    values = torch.zeros_like(like) if part is None else part
    if values.shape[1:] != shape:
        lacking = [want - have for want, have in zip(reversed(shape), reversed(values.shape[1:]), strict=True)]
        values = nn.functional.pad(values, [size for more in lacking for size in (0, more)])
    return values.flatten(1).float()


def _cut_to(values: Tensor, like: Tensor) -> Tensor:
    for dim in range(1, like.ndim):
        values = values.narrow(dim, 0, like.shape[dim])
    return values
