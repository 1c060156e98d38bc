"""Where the gradients of all tasks come together, and what is passed on: two ways to meet them at the junction.

`Junction` waits in Lightning's ordinary backward. `LateJunction` computes the tasks' gradients beforehand and delivers
the combination in that backward; it is needed for exact gradients of the parameters, and to weigh heads by weights
that are known only once all heads have been asked.
Shapes: K tasks, L levels, P shared parameters or feature values.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from mtl.balancing.method import GradientAggregation, GradientWeighting, Method
from mtl.features import Features
from mtl.functional.junction import deliver, fork
from mtl.functional.ranks import mean_over_ranks, num_ranks, sum_over_ranks
from mtl.model import MultiTaskModel


class TaskGradients:
    """What both ways share: asking the method.

    Args:
        model: the model whose junction this is.
        method: a method on gradients.
        at: `features` or `parameters`.
    """

    def __init__(self, model: MultiTaskModel, method: Method, at: Literal["features", "parameters"]) -> None:
        self.model = model
        self.method = method
        self.at = at
        self.head_gradients = "own"
        self.group: dist.ProcessGroup | None = None
        self.scale = 1.0  # factor on every gradient in backward: loss scaling, accumulation
        self.reuse = False  # keep the last weights instead of asking
        self.weights: Tensor | None = None  # [K], of the last step
        self.gramian: Tensor | None = None  # [K,K], of the last step that had one; telemetry reads it
        self.watched = False  # keep a Gramian also for methods that do not ask for one
        self.losses: Tensor = torch.zeros(0)
        self.present: Sequence[bool] | None = None

    def split(self, features: Features, names: Sequence[str]) -> dict[str, Features]:
        """The features each head gets.

        Args:
            features: the shared features.
            names: names of the heads.
        """
        raise NotImplementedError

    def objective(self, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        """The scalar that Lightning runs its backward from.

        Args:
            losses_K: this rank's losses, with gradient.
            global_K: the losses of the whole batch.
            present: which tasks have a label in the whole batch.
        """
        raise NotImplementedError

    def _remember(self, global_K: Tensor, present: Sequence[bool] | None) -> None:
        self.losses, self.present = global_K, present

    def _combine(self, rows_KP: Tensor, spread: bool) -> Tensor:
        """One gradient [P] out of K; `spread` says that ranks hold parts of a row, not shares of its mean."""
        if isinstance(self.method, GradientAggregation):
            if self.watched:
                self.gramian = self._gramian(rows_KP, spread)
            rows_KP = rows_KP if spread else mean_over_ranks(rows_KP, self.group)
            combined_P: Tensor = self.method(rows_KP, self.losses, self.present)
            return combined_P
        assert isinstance(self.method, GradientWeighting)
        if not self.reuse or self.weights is None:
            self.gramian = self._gramian(rows_KP, spread)
            self.weights = self.method(self.gramian, self.losses, self.present).to(rows_KP.dtype)
        return self.weights @ rows_KP

    def _gramian(self, rows_KP: Tensor, spread: bool) -> Tensor:
        """Inner products of the tasks' gradients on the whole batch, the same on every rank."""
        if not spread and num_ranks() > 1:
            # the Gramian of means is not the mean of Gramians: average first, each rank its part of the columns
            rows_KP = _own_columns(rows_KP, self.group)
        local_KK = (rows_KP @ rows_KP.T).to(torch.float64)
        # features: DDP divides by the number of ranks what each rank's loss was multiplied by
        return sum_over_ranks(local_KK, self.group) / (num_ranks() ** 2 if spread else 1)


class Junction(TaskGradients):
    """One node in the ordinary backward: one forward, one backward, no retained graph."""

    def split(self, features: Features, names: Sequence[str]) -> dict[str, Features]:
        if not torch.is_grad_enabled():
            return dict.fromkeys(names, features)
        levels = fork(list(features.values()), len(names), self._at_features)
        return {name: dict(zip(features, views, strict=True)) for name, views in zip(names, levels, strict=True)}

    def objective(self, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        self._remember(global_K, present)
        # heads follow their own loss, under the weights of a transform of the losses where there is one
        self.own_K = self.method.head_weights(global_K, present).to(losses_K)
        total = (self.own_K * losses_K).sum()
        learned = self.method.parameter_loss(global_K, present)
        if learned is not None:
            total = total + learned - learned.detach()
        return total

    def _at_features(self, rows: list[list[Tensor | None]]) -> list[Tensor | None]:
        like = [next((row[level] for row in rows if row[level] is not None), None) for level in range(len(rows[0]))]
        used = [level for level, gradient in enumerate(like) if gradient is not None]
        flat_KP = torch.stack([_flat([row[level] for level in used], [like[level] for level in used]) for row in rows])
        scale_K = self.scale * self.own_K
        flat_KP = flat_KP / torch.where(scale_K == 0, 1.0, scale_K)[:, None]
        combined_P = self._combine(flat_KP, spread=True) * self.scale
        out: list[Tensor | None] = [None] * len(like)
        sizes = [like[level].numel() for level in used]  # type: ignore[union-attr]
        for level, part in zip(used, combined_P.split(sizes), strict=True):
            gradient = like[level]
            assert gradient is not None
            out[level] = part.view(gradient.shape).to(gradient.dtype)
        return out


class LateJunction(TaskGradients):
    """Gradients computed before Lightning's backward, which then delivers their combination."""

    def split(self, features: Features, names: Sequence[str]) -> dict[str, Features]:
        if not torch.is_grad_enabled():
            return dict.fromkeys(names, features)
        self.features = list(features.values())
        self.leaves = [[level.detach().requires_grad_() for level in self.features] for _ in names]
        return {name: dict(zip(features, leaves, strict=True)) for name, leaves in zip(names, self.leaves, strict=True)}

    def objective(self, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None) -> Tensor:
        self._remember(global_K, present)
        with torch.autocast(losses_K.device.type, enabled=False):
            total = self._deliver(losses_K)
        learned = self.method.parameter_loss(global_K, present)
        if learned is not None:
            total = total + learned - learned.detach()
        return total + losses_K.detach().sum()

    def _deliver(self, losses_K: Tensor) -> Tensor:
        heads = [[p for p in head.parameters() if p.requires_grad] for head in self.model.heads.values()]
        num_levels = len(self.features)
        inputs = [leaf for leaves in self.leaves for leaf in leaves] + [p for head in heads for p in head]
        # scaled as in backward, so that fp16 gradients do not vanish
        found = torch.autograd.grad((losses_K * self.scale).sum(), inputs, allow_unused=True)
        at_features = [found[k * num_levels : (k + 1) * num_levels] for k in range(len(heads))]
        at_heads = iter(found[len(heads) * num_levels :])
        if self.at == "features":
            targets = self.features
            rows_KP = torch.stack([_flat(row, self.features) for row in at_features]) / self.scale
            combined_P = self._combine(rows_KP, spread=True)
        else:
            backbone = self.model.backbone.parameters()
            targets = [p for p in backbone if p.requires_grad]
            rows_KP = torch.stack([self._through_backbone(row, targets, k) for k, row in enumerate(at_features)])
            rows_KP = rows_KP / self.scale
            combined_P = self._combine(rows_KP, spread=False)
        gradients = [
            part.view(target.shape)
            for part, target in zip(combined_P.split([t.numel() for t in targets]), targets, strict=True)
        ]
        own_K = self.method.head_weights(self.losses, self.present).to(losses_K)
        factors_K = self.weights if self.head_gradients == "weighted" and self.weights is not None else own_K
        delivered: list[Tensor | None] = list(gradients)
        for parameters, factor in zip(heads, factors_K, strict=True):
            for _ in parameters:
                gradient = next(at_heads)
                delivered.append(None if gradient is None else gradient / self.scale * factor)
        return deliver([*targets, *(p for head in heads for p in head)], delivered)

    def _through_backbone(self, row: Sequence[Tensor | None], targets: list[Tensor], task: int) -> Tensor:
        used = [(level, gradient) for level, gradient in zip(self.features, row, strict=True) if gradient is not None]
        last = task == len(self.leaves) - 1
        levels, gradients = [level for level, _ in used], [gradient for _, gradient in used]
        found = torch.autograd.grad(levels, targets, gradients, retain_graph=not last, allow_unused=True)
        return _flat(found, targets)


def _flat(parts: Sequence[Tensor | None], like: Sequence[Tensor | None]) -> Tensor:
    """All parts in one float32 row; zeros where a task does not touch a part."""
    row = []
    for part, shape in zip(parts, like, strict=True):
        assert shape is not None
        row.append(shape.new_zeros(shape.numel(), dtype=torch.float32) if part is None else part.reshape(-1).float())
    return torch.cat(row)


def _own_columns(rows_KP: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
    """The mean over ranks of this rank's share of the columns, [K, P / ranks]: one reduce-scatter."""
    ranks = num_ranks()
    width = -(-rows_KP.shape[1] // ranks)
    padded = torch.nn.functional.pad(rows_KP, (0, width * ranks - rows_KP.shape[1]))
    parts = padded.view(len(rows_KP), ranks, width).transpose(0, 1).contiguous()
    own = torch.empty_like(parts[0])
    dist.reduce_scatter_tensor(own, parts, group=group)
    return own / ranks
