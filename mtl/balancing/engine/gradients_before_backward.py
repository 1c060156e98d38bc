"""`BeforeBackward`: task gradients computed before the ordinary backward, which then delivers their combination.

It is needed for exact gradients of the parameters, and to weigh heads by weights that are known only once all heads
have been differentiated.
Shapes: K tasks, L levels, P shared parameters.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from mtl.balancing.engine.fork import deliver
from mtl.balancing.engine.gradients import TaskGradients
from mtl.balancing.engine.partition import trainable
from mtl.balancing.protocols import GradientAggregation
from mtl.distributed.dtensor import as_shard_of, is_sharded, kept_gathered, own_shard, take_gradients
from mtl.distributed.ranks import all_columns, average_over_ranks_, num_ranks, own_columns, sum_over_ranks
from mtl.functional.gradient_rows import gramian_of_matrix, weighted_sum_of_matrix

Gradients = Sequence[Tensor | None]


class BeforeBackward(TaskGradients):
    """Each task works on leaves of its own; the trunk is entered by the combination of their gradients."""

    # gradients of 16 bits must be scaled when they are computed, not only in the ordinary backward
    loss_scale: Callable[[Tensor], Tensor] | None = None
    # shared parameters are used behind the cut as well: each loss is differentiated by itself
    shared_after_cut = False
    # of FSDP, whose weights are gathered once for all passes
    trunk: nn.Module | None = None
    # of a step; none where no tensor of the cut needs a gradient
    levels: Sequence[Tensor] = ()
    leaves: Sequence[Sequence[Tensor]] = ()
    _looked = False

    def split(self, levels: list[Tensor], num_tasks: int) -> list[list[Tensor]]:
        self.levels = levels
        leaves = [[level.detach().requires_grad_() for level in levels] for _ in range(num_tasks)]
        self.leaves = leaves
        return leaves

    def objective(self, losses: Sequence[Tensor], global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        self.losses, self.present, self.weights = global_K, present, None
        losses_K = torch.stack(list(losses))
        self.leaves = self.leaves or [[] for _ in losses]
        # asked before the method itself, whose call moves its state
        own_K = self.method.head_weights(global_K, present).to(losses_K)
        learned = self.method.parameter_loss(global_K, present)
        self.scale = torch.ones_like(losses_K[0]) if self.loss_scale is None else self.loss_scale(losses_K.new_ones(()))
        if not self._looked:
            _refuse_reentrant([losses_K] if self.at == "features" else [losses_K, *self.levels])
            self._looked = self.at == "features" or bool(self.levels)  # a frozen trunk may learn later
        gathered = self.trunk is not None and not self._is_cheap()
        with kept_gathered(self.trunk) if gathered and self.trunk is not None else nullcontext():
            total = self._deliver(losses, losses_K, own_K)
        self.levels, self.leaves = (), ()
        if learned is not None:
            total = total + learned - learned.detach()
        return total + losses_K.detach().sum()

    def _is_cheap(self) -> bool:
        """Whether one backward goes through the trunk; with weights that are kept it is exact."""
        return self.at == "features" or (self._reuses() and not self.shared_after_cut)

    def _deliver(self, losses: Sequence[Tensor], losses_K: Tensor, own_K: Tensor) -> Tensor:
        own = [trainable(parameters) for parameters in self.partition.own.values()]
        rows, at_own, behind = self._differentiate(losses, losses_K, own)
        self._those_that_reach([[*row, *after] for row, after in zip(rows, behind, strict=True)])
        targets: list[Tensor]
        if self._is_cheap():
            targets = list(self.levels)
            delivered = list(self._combine_features(rows, self.scale.expand(len(rows))))
        else:
            targets = list(trainable(self.partition.shared))
            delivered = list(self._combine_parameters(rows, behind, targets))
        factor_K = own_K
        if self.head_gradients == "weighted":
            factor_K = self._weights_of_heads(own_K)
        for gradients, factor in zip(at_own, factor_K / self.scale, strict=True):
            for gradient in gradients:
                delivered.append(None if gradient is None else as_shard_of(own_shard(gradient) * factor, gradient))
        return deliver([*targets, *(p for parameters in own for p in parameters)], delivered)

    def _differentiate(
        self, losses: Sequence[Tensor], losses_K: Tensor, own: Sequence[Sequence[Tensor]]
    ) -> tuple[list[Gradients], list[Gradients], list[Gradients]]:
        """Gradients of every loss at its leaves, at its task's own parameters, and at shared ones behind the cut."""
        num_levels = len(self.levels)
        if self.shared_after_cut:
            shared = trainable(self.partition.shared)
            rows: list[Gradients] = []
            at_own: list[Gradients] = []
            behind: list[Gradients] = []
            last = max((task for task, loss in enumerate(losses) if loss.requires_grad), default=-1)
            for task, (loss, leaves, parameters) in enumerate(zip(losses, self.leaves, own, strict=True)):
                inputs = [*leaves, *parameters, *shared]
                found: Gradients = [None] * len(inputs)  # of a task that did not run
                if loss.requires_grad:
                    # a compiler may have put several tasks into one graph
                    keep = task != last or self.keep_graph
                    found = torch.autograd.grad(loss * self.scale, inputs, retain_graph=keep, allow_unused=True)
                rows.append(found[:num_levels])
                at_own.append(found[num_levels : num_levels + len(parameters)])
                behind.append(found[num_levels + len(parameters) :])
            return rows, at_own, behind
        inputs = [leaf for leaves in self.leaves for leaf in leaves] + [p for parameters in own for p in parameters]
        total = (losses_K * self.scale).sum()
        if is_sharded(inputs):
            everything: Gradients = take_gradients([total], [None], inputs)
        else:
            everything = torch.autograd.grad(total, inputs, retain_graph=self.keep_graph, allow_unused=True)
        rest = iter(everything)
        rows = [[next(rest) for _ in leaves] for leaves in self.leaves]
        return rows, [[next(rest) for _ in parameters] for parameters in own], [()] * len(own)

    def _weights_of_heads(self, own_K: Tensor) -> Tensor:
        if not any(self._reach):  # nothing that they share learns at present
            return own_K
        if self.weights is None:
            raise ValueError(
                f"{type(self.method).__name__} gives a combined gradient and no weights for the heads; set "
                "head_gradients of LossBalancing to 'own'."
            )
        if self.present is None:
            return self.weights.to(own_K)
        # a task that reaches nothing shared still teaches its own parameters
        reach = torch.tensor(self._reach).to(own_K.device, non_blocking=True)
        return torch.where(reach, self.weights.to(own_K), own_K)

    def _combine_parameters(
        self, rows: Sequence[Gradients], behind: list[Gradients], targets: list[Tensor]
    ) -> list[Tensor]:
        """One gradient for each parameter from K backward passes through the trunk, the same on every rank.

        The Gramian of means is not the mean of Gramians, so the ranks average first. One process, and a method on whole
        gradients, holds K + 1 copies of the parameters; a rank of N otherwise K / N + 2.
        """
        if not targets:
            return []
        sizes = [own_shard(target).numel() for target in targets]
        dtype = torch.promote_types(targets[0].dtype, torch.float32)
        whole = num_ranks() == 1 or is_sharded(targets) or isinstance(self.method, GradientAggregation)
        length = sum(sizes) + (0 if whole else -sum(sizes) % num_ranks())
        new = partial(torch.empty, dtype=dtype, device=targets[0].device)
        if whole:
            rows_KP = new(len(rows), length)
            deque(self._through_trunk(rows, behind, targets, rows_KP), maxlen=0)
        else:
            made = (new(length) for _ in rows)
            rows_KP = own_columns(self._through_trunk(rows, behind, targets, made), self.group)
        if isinstance(self.method, GradientAggregation):
            average_over_ranks_(rows_KP, self.group)
            rows_KP /= self.scale
            if self.watched:
                self.gramian = gramian_of_matrix(rows_KP)
            combined_P = self._aggregate(rows_KP)
        else:
            gramian_KK = sum_over_ranks(gramian_of_matrix(rows_KP), self.group)
            self._ask(gramian_KK / self.scale.to(gramian_KK) ** 2)
            assert self.weights is not None
            combined_P = weighted_sum_of_matrix(rows_KP, self.weights / self.scale)
            combined_P = combined_P if whole else all_columns(combined_P, self.group)
        parts = zip(combined_P[: sum(sizes)].split(sizes), targets, strict=True)
        return [as_shard_of(_shaped_as(own_shard(target), part), target) for part, target in parts]

    def _through_trunk(
        self,
        rows: Sequence[Gradients],
        behind: list[Gradients],
        targets: list[Tensor],
        places: Iterable[Tensor],
    ) -> Iterator[Tensor]:
        """Gradients of the parameters by one task after the other, written into places [P]; of shards, this rank's."""
        sizes = [own_shard(target).numel() for target in targets]
        used = [[index for index, part in enumerate(row) if part is not None] for row in rows]
        last = max((task for task, levels in enumerate(used) if levels), default=-1)
        for task, place_P in enumerate(places):
            gradients = [(self.levels[level], rows[task][level]) for level in used[task]]
            parts = [
                _shaped_as(own_shard(target), part)
                for target, part in zip(targets, place_P[: sum(sizes)].split(sizes), strict=True)
            ]
            before: set[int] = set()
            if gradients:
                before = _backward_into(parts, gradients, targets, retain_graph=task != last or self.keep_graph)
            later = {index: after for index, after in enumerate(behind[task]) if after is not None}
            for put, indices in (
                (torch._foreach_add_, [index for index in later if index in before]),
                (torch._foreach_copy_, [index for index in later if index not in before]),
            ):
                if indices:
                    put([parts[index] for index in indices], [later[index] for index in indices])
            # zeros only where nothing was written: to clear all is one more pass over K copies
            torch._foreach_zero_(
                [place_P[sum(sizes) :], *(p for i, p in enumerate(parts) if i not in before | set(later))]
            )
            behind[task] = ()  # of a large trunk, K copies
            yield place_P


def _backward_into(
    places: Sequence[Tensor],
    gradients: Sequence[tuple[Tensor, Tensor | None]],
    targets: Sequence[Tensor],
    retain_graph: bool,
) -> set[int]:
    """One backward through the trunk; which places it reached. Its gradients are gone when it returns."""
    levels = [level for level, _ in gradients]
    roots = [_laid_out_as(level, gradient) for level, gradient in gradients]
    found: Sequence[Tensor | None]
    if is_sharded(targets):
        found = take_gradients(levels, roots, targets, retain_graph)
    else:
        found = torch.autograd.grad(levels, targets, roots, retain_graph=retain_graph, allow_unused=True)
    pairs = [(place, own_shard(part)) for place, part in zip(places, found, strict=True) if part is not None]
    torch._foreach_copy_([place for place, _ in pairs], [part for _, part in pairs])
    return {index for index, part in enumerate(found) if part is not None}


def _shaped_as(target: Tensor, part_P: Tensor) -> Tensor:
    """Values in the shape of a parameter and in its memory order: copies between other orders are slow."""
    order = sorted(range(target.ndim), key=target.stride, reverse=True)
    in_memory = target.permute(order)
    if not in_memory.is_contiguous():
        return part_P.view_as(target)
    return part_P.view(in_memory.shape).permute([order.index(dim) for dim in range(target.ndim)])


def _laid_out_as(feature: Tensor, gradient: Tensor | None) -> Tensor:
    """The gradient in the memory order of its feature; a pooling head sends another, and the whole trunk pays."""
    assert gradient is not None
    if gradient.stride() == feature.stride():
        return gradient
    return torch.empty_like(feature, dtype=gradient.dtype).copy_(gradient)


def _refuse_reentrant(roots: Sequence[Tensor]) -> None:
    """PyTorch itself says nothing: the parameters inside would get gradients behind our back, and we none."""
    open_nodes = [root.grad_fn for root in roots if root.grad_fn is not None]
    seen = set(open_nodes)
    while open_nodes:
        node = open_nodes.pop()
        if node.name() == "CheckpointFunctionBackward":
            raise ValueError(
                "reentrant activation checkpointing cannot give the gradients of single tasks, which LossBalancing "
                "with at='parameters' or head_gradients='weighted' asks for. Pass use_reentrant=False to "
                "torch.utils.checkpoint, or balance with at='features' and head_gradients='own'."
            )
        following = {after for after, _ in node.next_functions if after is not None} - seen
        seen |= following
        open_nodes += following
