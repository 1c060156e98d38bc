"""`LossBalancing`: any balancing method inside Lightning's automatic optimisation.

A method on losses replaces the weighted sum. A method on gradients meets them at the junction between what tasks share
and what is their own. `at="features"` costs one forward and one backward: the gradients of all tasks arrive there
together. Exact gradients of the shared parameters (`at="parameters"`) take one backward through the trunk for each
task. Accumulation, clipping, precision, schedules and DDP stay Lightning's.
Shapes: K tasks.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.balancing.engine.balancer import Balancer, HeadGradients, Place, check_settings
from mtl.balancing.engine.gradients import TaskGradients
from mtl.balancing.engine.gradients_before_backward import BeforeBackward
from mtl.balancing.engine.partition import trainable
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientAggregation
from mtl.batch import Batch, labelled_tasks
from mtl.callbacks.balancing.cut_check import check_cut
from mtl.callbacks.balancing.method_feedback import EpochLosses, reevaluate_losses
from mtl.callbacks.distributed.strategies import refuse_strategy
from mtl.callbacks.finetuning.freeze_parts import learn_at_once, may_learn_later
from mtl.distributed.ddp_ignored import give_back_to_ddp, leave_out_of_ddp
from mtl.distributed.dtensor import is_sharded, share_weights
from mtl.distributed.ranks import num_ranks, sum_over_ranks
from mtl.module import MultiTaskLightningModule, Objective
from mtl.runs.trainer_limits import refuse_line_search


class LossBalancing(Callback):
    """Balance the tasks by a method, by class path in a config.

    With accumulation the method is asked at every batch, and its weights hold for that batch. The method's state lies
    in checkpoints beside the model's, so a balanced run resumes exactly and its weights load everywhere.

    Args:
        method: the balancing method.
        at: where a gradient method sees the gradients: `features` (cheap; their Gramian bounds the parameters' one)
            or `parameters` (exact, one backward through the trunk for each task).
        every: ask the method at every n-th optimiser step and keep its weights between (PSMGD, AAAI 2025); a step
            between costs one backward.
        head_gradients: `own`: each head follows its own loss; `weighted`: its gradient is weighted like the trunk's;
            by default what the method's paper does.

    Raises:
        ValueError: if the method cannot work there, or a setting would have no effect.
    """

    def __init__(
        self, method: Method, at: Place = "features", every: int = 1, head_gradients: HeadGradients | None = None
    ) -> None:
        check_settings(method, at, every, head_gradients)
        self.method = method
        self.at = at
        self.every = every
        self.head_gradients = head_gradients
        self.names: list[str] = []
        self.balancer: Balancer | None = None
        self.present: list[bool] | None = None  # which tasks have a label in the batch of all ranks; None for all
        self.groups: list[dist.ProcessGroup] = []
        self._steps_before = 0
        self._checked: list[bool] | None = None  # which parameters learned when the cut was looked at
        self._epoch = EpochLosses()
        self._scores: dict[str, float] = {}  # of the last validation in this epoch

    @property
    def gradients(self) -> TaskGradients | None:
        """Where the gradients of the tasks meet; None for a method on losses."""
        return None if self.balancer is None else self.balancer.node

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not isinstance(pl_module, MultiTaskLightningModule):
            raise ValueError(f"LossBalancing balances a MultiTaskLightningModule; found {type(pl_module).__name__}.")
        refuse_strategy(trainer.strategy)
        self._refuse(trainer, pl_module)
        self.names = list(pl_module.model.heads)
        self._checked = None
        trunk, parameters = pl_module.model.trunk, pl_module.model.partition()
        self.balancer = Balancer(
            self.method, parameters, self.at, self.every, self.head_gradients, trunk.shared_after_cut
        )
        if self.gradients is not None:
            self.gradients.keep_graph = trunk.has_penalty
        self.method.to(trainer.strategy.root_device)
        pl_module.more_parameter_groups = self.method.parameter_groups()
        pl_module.objective_steps["balance"] = self._objective
        pl_module.model.junction.node = self.balancer.node
        if self.at == "parameters":
            # the trunk's graph is walked once for each task, so what a compiled one keeps must stay
            torch._functorch.config.donated_buffer = False
        late = self.at == "parameters" and self.every == 1 and not trunk.has_penalty
        if late and isinstance(trainer.strategy, DDPStrategy):
            # the same on every rank; between steps that ask, and at features, it is DDP that averages
            leave_out_of_ddp(pl_module, parameters.shared)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        refuse_line_search(trainer, "LossBalancing")
        self._refuse_new_rows(trainer, pl_module)
        if getattr(trainer.strategy.model, "static_graph", False) and trainer.accumulate_grad_batches > 1:
            raise ValueError(
                "DDP with static_graph=True and accumulate_grad_batches > 1 crashes inside PyTorch's reducer, with or "
                "without balancing. Set static_graph to false, or accumulate_grad_batches to 1."
            )
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if isinstance(self.gradients, BeforeBackward) and scaler is not None:
            self.gradients.loss_scale = scaler.scale
        if is_sharded(pl_module.parameters()):
            self._know_shards(pl_module)
        if num_ranks() > 1:
            share_weights(self.method)
            if isinstance(pl_module, MultiTaskLightningModule) and not is_sharded(pl_module.parameters()):
                share_weights(pl_module.model.trunk)  # DDP does not, where it is left out
            # one for backward, where it must not queue behind DDP's own; one for questions to the hosts, not the GPUs
            made = (dist.new_group(), dist.new_group(backend="gloo"))
            self.groups = [group for group in made if isinstance(group, dist.ProcessGroup)]
            if self.gradients is not None:
                self.gradients.group = self.groups[0]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._leave(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        known = torch.tensor(labelled_tasks(batch, {name: pl_module.tasks[name] for name in self.names}))
        here = (sum_over_ranks(known.int(), self.groups[1] if self.groups else None) > 0).tolist()
        self.present = None if all(here) else here
        self._steps_before = trainer.global_step
        assert self.balancer is not None
        self.balancer.at_step(trainer.global_step)
        learns = [parameter.requires_grad for parameter in pl_module.model.parameters()]
        if learns != self._checked and self.gradients is not None and not is_sharded(pl_module.parameters()):
            self._checked = learns
            reach = check_cut(pl_module.model, batch, self.at)
            if isinstance(self.gradients, BeforeBackward) and reach.behind:
                self.gradients.shared_after_cut = True

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.gradients is not None and self.gradients.weights is not None:
            for name, weight in zip(self.names, self.gradients.weights, strict=True):
                pl_module.log(f"weights/{name}", weight)
        pl_module.log("balancing/status", self.method.status.float())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.method.losses_after_step and trainer.global_step > self._steps_before:
            assert isinstance(pl_module, MultiTaskLightningModule)
            self.method.observe_step(reevaluate_losses(trainer, pl_module, batch))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        # kept until the end of the epoch: an epoch without a validation has no scores
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._scores = {name: float(score) for name, score in pl_module.latest_scores.items()}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        losses_K = self._epoch.take()
        if losses_K is None:
            return
        scores, self._scores = self._scores, {}
        scores_K = torch.tensor([float(scores.get(name, torch.nan)) for name in self.names]).to(losses_K)
        self.method.observe_epoch(losses_K, None if scores_K.isnan().all() else scores_K)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["balancing"] = {
            "name": type(self.method).__name__,
            "method": self.method.state_dict(),
            "epoch": self._epoch.sums,
            "scores": self._scores,
            "kept": None if self.gradients is None else (self.gradients.kept, self.gradients.kept_for),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get("balancing")
        # without one: a run that was not balanced so far
        if state is None or trainer.state.fn != "fit":
            return
        if state["name"] != type(self.method).__name__:
            raise ValueError(
                f"the checkpoint was balanced by {state['name']}; LossBalancing has {type(self.method).__name__}. "
                "Continue with the method of the run, or start a new run."
            )
        self.method.load_state_dict(state["method"])
        device = trainer.strategy.root_device
        self.method.to(device)
        self._epoch.sums = None if state["epoch"] is None else state["epoch"].to(device)
        self._scores = state.get("scores", {})
        if self.gradients is not None and state["kept"][0] is not None:
            self.gradients.kept, self.gradients.kept_for = state["kept"][0].to(device), state["kept"][1]

    def _refuse(self, trainer: Trainer, module: MultiTaskLightningModule) -> None:
        found = [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, LossBalancing)]
        if len(found) > 1:
            names = " and ".join(type(callback.method).__name__ for callback in found)
            raise ValueError(
                f"trainer.callbacks holds LossBalancing {len(found)} times, with {names}; keep one. A loss method goes "
                "before a gradient method in TransformedWeighting or TransformedAggregation."
            )
        unequal = {name: weight for name, weight in module.loss_weights.items() if weight != 1}
        if unequal:
            raise ValueError(
                f"loss_weights {unequal} have no effect, since LossBalancing weighs the losses. Remove them, or give "
                "them to the method Fixed, alone or as the transform of a TransformedWeighting."
            )
        if self.at == "parameters" and not may_learn_later(trainer) and not trainable(module.model.partition().shared):
            raise ValueError(
                "LossBalancing at='parameters' needs shared parameters that learn, and all of them are frozen, or "
                f"{type(module.model.trunk).__name__} shares none. Let some of the trunk learn, or take a method on "
                "losses."
            )

    def _refuse_new_rows(self, trainer: Trainer, module: LightningModule) -> None:
        keeps = [part for part in self.method.modules() if getattr(part, "gradient_state", ())]
        assert isinstance(module, MultiTaskLightningModule)
        if self.at == "parameters" and keeps and not learn_at_once(trainer, module.model.partition().shared):
            raise ValueError(
                f"{type(keeps[0]).__name__} keeps numbers for each shared parameter that learns, and FreezeParts lets "
                "some of them learn later. Freeze them for good, all of the trunk until then, or train in two runs: "
                "the second without FreezeParts and with model.init_from of the first."
            )

    def _know_shards(self, module: LightningModule) -> None:
        assert isinstance(module, MultiTaskLightningModule)
        if self.at == "parameters" and isinstance(self.method, GradientAggregation):
            raise ValueError(
                f"{type(self.method).__name__} at='parameters' needs the whole gradient of every task on every rank, "
                "and FullySharded gives each rank a shard of it. Train with trainer.strategy ddp, take at='features', "
                "or a method that sees the Gramian, such as UPGrad."
            )
        if module.model.trunk.shared_after_cut and self.gradients is not None:
            raise ValueError(
                f"{type(module.model.trunk).__name__} uses shared weights once for each task, and FullySharded cannot "
                "give the gradient of a single task there. Train with trainer.strategy ddp, or take a method on losses."
            )
        if isinstance(self.gradients, BeforeBackward):
            # taken now: between forward and backward FSDP shows the gathered ones
            self.gradients.partition = module.model.partition()
            self.gradients.trunk = module.model.trunk

    def _leave(self, module: LightningModule) -> None:
        if isinstance(module, MultiTaskLightningModule):
            module.clear_objective()
            give_back_to_ddp(module)
        for group in self.groups:
            dist.destroy_process_group(group)
        self.groups = []

    def _objective(self, losses: dict[str, Tensor], rest: Objective) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert self.balancer is not None
        total, weights = self.balancer.objective_and_weights(losses, self.present)
        assert self.balancer.losses is not None
        self._epoch.add(*self.balancer.losses)
        return total, weights
