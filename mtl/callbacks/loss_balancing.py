"""`LossBalancing`: any balancing method inside Lightning's automatic optimisation.

A method on losses replaces the weighted sum. A method on gradients meets them at the junction between backbone and
heads. `at="features"` costs one forward and one backward: the gradients of all tasks arrive there together. Exact
gradients of the shared parameters (`at="parameters"`) take one backward through the backbone for each task.
Accumulation, clipping, precision, schedules and DDP stay Lightning's.
Shapes: K tasks, P shared parameters or feature values, L levels.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.balancing.method import GradientWeighting, LossWeighting, Method
from mtl.batch import Batch, labelled
from mtl.callbacks.task_gradients import Junction, LateJunction, TaskGradients
from mtl.functional.junction import deliver
from mtl.functional.ranks import mean_over_ranks, num_ranks, sum_over_ranks
from mtl.model import share
from mtl.module import MultiTaskLightningModule


class LossBalancing(Callback):
    """Balance the tasks by a method, by class path in a config.

    Args:
        method: the balancing method.
        at: where a gradient method sees the gradients: `features` (cheap; their Gramian bounds that of the parameters)
            or `parameters` (exact, one backward through the backbone for each task).
        every: ask the method at every n-th optimiser step and keep its weights between (PSMGD, AAAI 2025).
        head_gradients: `own`: each head follows its own loss; `weighted`: its gradient is weighted like the backbone's;
            by default what the method's paper does.

    Raises:
        ValueError: if the method cannot work there, or a setting would have no effect.
    """

    def __init__(
        self,
        method: Method,
        at: Literal["features", "parameters"] = "features",
        every: int = 1,
        head_gradients: Literal["own", "weighted"] | None = None,
    ) -> None:
        name = type(method).__name__
        if every < 1:
            raise ValueError(f"every={every} must be at least 1: the method is asked at each `every`-th step.")
        if isinstance(method, LossWeighting) and (head_gradients or every > 1 or at != "features"):
            raise ValueError(
                f"{name} sees losses only, so `at`, `every` and `head_gradients` have no effect; remove them."
            )
        if not isinstance(method, LossWeighting) and at not in method.at:
            raise ValueError(f"{name} works at {' or '.join(method.at)}, not at {at!r}.")
        if every > 1 and not isinstance(method, GradientWeighting):
            raise ValueError(f"{name} gives no weights that could be kept between steps; set every=1.")
        self.method = method
        self.at = at
        self.every = every
        self.head_gradients = head_gradients or method.head_gradients
        self.names: list[str] = []
        self.gradients: TaskGradients | None = None
        self.present: list[bool] | None = None
        self.epoch_losses: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not isinstance(pl_module, MultiTaskLightningModule):
            raise ValueError(f"LossBalancing balances a MultiTaskLightningModule; {type(pl_module).__name__} is none.")
        self.names = list(pl_module.model.heads)
        self.method.build(len(self.names))
        pl_module.balancing = self.method.to(pl_module.device)
        pl_module.objective = self._objective
        _refuse_static_graph(trainer)
        if not isinstance(self.method, LossWeighting):
            late = self.at == "parameters" or self.head_gradients == "weighted"
            self.gradients = (LateJunction if late else Junction)(pl_module.model, self.method, self.at)
            self.gradients.head_gradients = self.head_gradients
            pl_module.model.junction = self.gradients.split

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # collectives inside backward must not queue behind DDP's own
        if self.gradients is not None and num_ranks() > 1:
            group = dist.new_group()
            self.gradients.group = group if isinstance(group, dist.ProcessGroup) else None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and isinstance(pl_module, MultiTaskLightningModule):
            pl_module.objective = pl_module.weighted_sum
            pl_module.model.junction = share

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        known = torch.stack([labelled(batch, pl_module.tasks[name]).sum() for name in self.names])
        self.present = (sum_over_ranks(known) > 0).tolist()
        if self.gradients is not None:
            accumulated = trainer.accumulate_grad_batches
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            self.gradients.scale = (scaler.get_scale() if scaler else 1.0) / accumulated
            self.gradients.reuse = (trainer.global_step % self.every) > 0

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.gradients is not None and self.gradients.weights is not None:
            for name, weight in zip(self.names, self.gradients.weights, strict=True):
                pl_module.log(f"weights/{name}", weight)
        pl_module.log("balancing/status", self.method.status.float())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.method.losses_after_step and trainer.fit_loop.epoch_loop._accumulated_batches_reached():
            assert isinstance(pl_module, MultiTaskLightningModule)
            self.method.observe_step(_losses_again(trainer, pl_module, batch))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        if not self.epoch_losses:
            return
        losses_K = torch.stack(self.epoch_losses).nanmean(0)
        self.epoch_losses = []
        values = []
        for name in self.names:
            monitor, mode = pl_module.model.head(name).monitor
            value = trainer.callback_metrics.get(f"val/{name}/{monitor}")
            values.append(None if value is None else (value if mode == "max" else -value))
        scores = None
        if all(value is not None for value in values):
            scores = torch.stack([torch.as_tensor(value, device=losses_K.device) for value in values])
        self.method.observe_epoch(losses_K, scores)

    def _objective(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        losses_K = torch.stack([loss.float() for loss in losses.values()])
        # what the whole batch lost: every rank asks the method the same question and gets the same answer
        global_K = mean_over_ranks(losses_K)
        seen_K = torch.tensor(self.present, device=global_K.device)
        self.epoch_losses.append(torch.where(seen_K, global_K, torch.nan))
        if self.gradients is None:
            assert isinstance(self.method, LossWeighting)
            return _linear_objective(self.method, losses_K, global_K, self.present, self.names)
        return self.gradients.objective(losses_K, global_K, self.present), {}


def _linear_objective(
    method: LossWeighting, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None, names: list[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The method's weights at the losses of the whole batch, applied to this rank's losses.

    Averaged over ranks, its gradient is that of the method's objective on the whole batch, for the network and, since
    every rank computes the same, for the method's own parameters.
    """
    leaf_K = global_K.clone().requires_grad_()
    objective = method(leaf_K, present)
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    weights_K, *learned_gradients = torch.autograd.grad(objective, [leaf_K, *learned], allow_unused=True)
    total = (weights_K * losses_K).sum()

    if learned:
        total = total + deliver(learned, learned_gradients)
    # the value that is logged is the objective's; its gradient is that of the line above
    total = total + (objective.detach() - total.detach())
    return total, dict(zip(names, weights_K.detach(), strict=True))


def _losses_again(trainer: Trainer, module: MultiTaskLightningModule, batch: Batch) -> Tensor:
    """Losses [K] of the same batch after the step, without moving batch-norm statistics."""
    norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    with torch.no_grad(), trainer.precision_plugin.train_step_context():
        losses = module.model.losses(module.model(batch["image"]), batch)
    for norm, (momentum, count) in zip(norms, kept, strict=True):
        norm.momentum, norm.num_batches_tracked = momentum, count
    return mean_over_ranks(torch.stack([loss.float() for loss in losses.values()]))


def _refuse_static_graph(trainer: Trainer) -> None:
    strategy = trainer.strategy
    static = isinstance(strategy, DDPStrategy) and strategy._ddp_kwargs.get("static_graph")
    if static and trainer.accumulate_grad_batches > 1:
        raise ValueError(
            "DDP with static_graph=True and accumulate_grad_batches > 1 crashes inside PyTorch's reducer, with or "
            "without balancing. Set static_graph to false, or accumulate_grad_batches to 1."
        )
