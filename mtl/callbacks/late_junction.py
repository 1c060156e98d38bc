"""`LateJunction`: gradients of the tasks computed before Lightning's backward, which then delivers their combination.

It is needed for exact gradients of the parameters, and to weigh heads by weights that are known only once all heads
have been asked.
Shapes: K tasks, L levels, P shared parameters.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.balancing.method import GradientAggregation
from mtl.callbacks.task_gradients import TaskGradients
from mtl.features import Features
from mtl.functional.gradient_rows import gramian_of_matrix, weighted_sum_of_matrix
from mtl.functional.junction import deliver
from mtl.functional.ranks import average_over_ranks_, num_ranks, own_columns, sum_over_ranks
from mtl.functional.shards import as_shard_of, is_sharded, own_shard, take_gradients


class LateJunction(TaskGradients):
    """Each head works on features of its own; the trunk is entered by what their gradients come to."""

    # gradients of 16 bits must be scaled when they are computed, not only in Lightning's backward
    loss_scale: Callable[[Tensor], Tensor] | None = None
    # parameters by part of the model; FSDP shows the gathered ones between forward and backward
    shards: Mapping[nn.Module, Sequence[nn.Parameter]] = {}
    _looked = False

    def split(self, features: Features, names: Sequence[str]) -> dict[str, Features]:
        if not torch.is_grad_enabled():
            return dict.fromkeys(names, features)
        self.features = list(features.values())
        self.leaves = [[level.detach().requires_grad_() for level in self.features] for _ in names]
        return {name: dict(zip(features, leaves, strict=True)) for name, leaves in zip(names, self.leaves, strict=True)}

    def objective(self, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        self.losses, self.present = global_K, present
        # asked before the method itself, whose call moves its state
        own_K = self.method.head_weights(global_K, present).to(losses_K)
        learned = self.method.parameter_loss(global_K, present)
        self.scale = torch.ones_like(losses_K[0]) if self.loss_scale is None else self.loss_scale(losses_K.new_ones(()))
        if not self._looked:
            _refuse_reentrant([losses_K] if self.at == "features" else [losses_K, *self.features])
            self._looked = True
        total = self._deliver(losses_K, own_K)
        self.features, self.leaves = [], []
        if learned is not None:
            total = total + learned - learned.detach()
        return total + losses_K.detach().sum()

    def _trainable(self, part: nn.Module) -> list[nn.Parameter]:
        return [p for p in self.shards.get(part, ()) if p.requires_grad] if self.shards else trainable(part)

    def _deliver(self, losses_K: Tensor, own_K: Tensor) -> Tensor:
        heads = [self._trainable(head) for head in self.model.heads.values()]
        num_levels = len(self.features)
        inputs = [leaf for leaves in self.leaves for leaf in leaves] + [p for head in heads for p in head]
        total = (losses_K * self.scale).sum()
        found: Sequence[Tensor | None]
        if is_sharded(inputs):
            found = take_gradients([total], [None], inputs)
        else:
            found = torch.autograd.grad(total, inputs, allow_unused=True)
        rows = [found[task * num_levels : (task + 1) * num_levels] for task in range(len(heads))]
        targets: list[Tensor]
        gradients: Sequence[Tensor | None]
        if self.at == "features" or self._reuses():
            # with weights that are kept, one backward through the trunk is exact
            targets = self.features
            gradients = self._combine_features(rows, self.scale.expand(len(rows)))
        else:
            targets = list(self._trainable(self.model.backbone))
            gradients = self._combine_parameters(rows, targets)
        delivered = list(gradients)
        factor_K = own_K
        if self.head_gradients == "weighted":
            if self.weights is None:
                raise ValueError(
                    f"{type(self.method).__name__} gives a combined gradient and no weights for the heads; set "
                    "head_gradients of LossBalancing to 'own'."
                )
            factor_K = self.weights.to(own_K)
        at_heads = iter(found[len(heads) * num_levels :])
        for parameters, factor in zip(heads, factor_K / self.scale, strict=True):
            for _ in parameters:
                gradient = next(at_heads)
                delivered.append(None if gradient is None else as_shard_of(own_shard(gradient) * factor, gradient))
        return deliver([*targets, *(p for head in heads for p in head)], delivered)

    def _combine_parameters(self, rows: Sequence[Sequence[Tensor | None]], targets: list[Tensor]) -> list[Tensor]:
        """One gradient for each parameter from K backward passes through the trunk; K + 1 copies of them at most."""
        rows_KP = self._through_backbone(rows, targets)
        sizes = [own_shard(target).numel() for target in targets]
        num_values = sum(sizes)
        if isinstance(self.method, GradientAggregation):
            rows_KP /= self.scale
            if self.watched:
                self.gramian = self._gramian_of_means(rows_KP)
            average_over_ranks_(rows_KP, self.group)
            combined_P = self._aggregate(rows_KP[:, :num_values])
        else:
            gramian_KK = self._gramian_of_means(rows_KP)
            self._ask(gramian_KK / self.scale.to(gramian_KK) ** 2)
            assert self.weights is not None
            combined_P = weighted_sum_of_matrix(rows_KP, self.weights / self.scale)[:num_values]
        parts = zip(combined_P.split(sizes), targets, strict=True)
        return [as_shard_of(part.view_as(own_shard(target)), target) for part, target in parts]

    def _through_backbone(self, rows: Sequence[Sequence[Tensor | None]], targets: list[Tensor]) -> Tensor:
        """Gradients of the parameters, one row for each task, padded with zeros to a multiple of the ranks.

        Of shards the mean over the ranks, in the parts that this rank holds.
        """
        sizes = [own_shard(target).numel() for target in targets]
        padding = -sum(sizes) % num_ranks()
        dtype = torch.promote_types(targets[0].dtype, torch.float32)
        rows_KP = torch.zeros(len(rows), sum(sizes) + padding, dtype=dtype, device=targets[0].device)
        used = [[index for index, part in enumerate(row) if part is not None] for row in rows]
        last = max((task for task, levels in enumerate(used) if levels), default=-1)
        for task, levels in enumerate(used):
            if levels:
                gradients = [(self.features[level], rows[task][level]) for level in levels]
                _backward_into(rows_KP[task].split([*sizes, padding]), gradients, targets, retain_graph=task != last)
        return rows_KP

    def _gramian_of_means(self, rows_KP: Tensor) -> Tensor:
        # the Gramian of means is not the mean of Gramians: average first, each rank its part of the columns
        own_KP = rows_KP if self.shards else own_columns(rows_KP, self.group)
        return sum_over_ranks(gramian_of_matrix(own_KP), self.group)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of a module that learn.

    Args:
        module: any module.
    """
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _backward_into(
    places: Sequence[Tensor],
    gradients: Sequence[tuple[Tensor, Tensor | None]],
    targets: Sequence[Tensor],
    retain_graph: bool,
) -> None:
    """One backward through the trunk. A function of its own, so that its gradients are gone before the next one."""
    levels = [level for level, _ in gradients]
    roots = [_laid_out_as(level, gradient) for level, gradient in gradients]
    found: Sequence[Tensor | None]
    if is_sharded(targets):
        found = take_gradients(levels, roots, targets, retain_graph)
    else:
        found = torch.autograd.grad(levels, targets, roots, retain_graph=retain_graph, allow_unused=True)
    parts = [(place, own_shard(part)) for place, part in zip(places, found, strict=False) if part is not None]
    pairs = [(place.view_as(part), part) for place, part in parts]
    torch._foreach_copy_([place for place, _ in pairs], [part for _, part in pairs])


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
