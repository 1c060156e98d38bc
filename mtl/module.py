"""`MultiTaskLightningModule`: the training loop. Read this file first.

One step: a batch goes through the shared trunk once, every head gives one loss, the losses are summed with their task
weights, and Lightning does the rest (backward, accumulation, clipping, precision, devices). Balancing methods, pictures
and telemetry are callbacks; the loop names none of them.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol, Self

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.hard_sharing import HardSharing
from mtl.backbones.backbone import Backbone
from mtl.backbones.pretrained import pretrained_wanted
from mtl.batch import Batch, labelled
from mtl.config.described import described
from mtl.distributed.normaliser import counts_taken
from mtl.errors import check_loss_weights, check_names
from mtl.features import FeatureSpec
from mtl.heads.head import Head
from mtl.inputs.input import Input, input_kind
from mtl.metrics.eval_loss import EvalLoss
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.model import MultiTaskModel
from mtl.optim import Optim
from mtl.runs.initial_weights import InitialWeights, load_start
from mtl.runs.trainer_limits import adds_groups, refuse_optimizer, refuse_settings, stepping_batches
from mtl.task import IMAGE, InputSpec, Task

# losses -> what is minimised, and the weights to log
Objective = Callable[[dict[str, Tensor]], tuple[Tensor, Mapping[str, float | Tensor]]]
OBJECTIVE_STEPS = ("finite", "schedule", "balance")  # in this order, whatever the order of the callbacks that set them


class ObjectiveStep(Protocol):
    """A step between the losses and the weighted sum, set by a callback."""

    def __call__(self, losses: dict[str, Tensor], rest: Objective) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """What is minimised, and the weights to log.

        Args:
            losses: scalar loss of each task that runs.
            rest: the steps after this one.
        """


class MultiTaskLightningModule(LightningModule):
    """A trunk that tasks share, one head for each task, and the loop that trains them together.

    Args:
        tasks: what the data module can teach, by name; linked from `data`, never written twice.
        backbone: a backbone class with its own arguments (the inputs are given to it), or a backbone that is built.
        heads: for each task to learn, a head class with its own arguments (the task and the feature widths are given
            to it). A task of the data without a head is not trained.
        inputs: what the data module feeds, by name; linked from `data` as `tasks` is. One image by default.
        architecture: how the tasks share the backbone, a class with its own arguments; all of it by default.
        prepare: how an input is prepared on the device, by its name, where its kind's default does not fit: for
            example `image: {class_path: ImageInput, init_args: {mean: [0.5], std: [0.2]}}`.
        loss_weights: fixed weight of each task's loss; 1 where none is given.
        optim: optimiser, learning rates and schedule; AdamW with warm-up and cosine by default.
        init_from: weights of another run to start from; not read where a checkpoint replaces all weights.
        compile: run the model through `torch.compile`.

    Raises:
        ValueError: if a head, a weight or a preparation names nothing that is there.
    """

    def __init__(
        self,
        tasks: dict[str, Task],
        backbone: Callable[[dict[str, InputSpec]], Backbone],
        heads: dict[str, Callable[[Task, FeatureSpec], Head]],
        inputs: dict[str, InputSpec] | None = None,
        architecture: Callable[[Backbone, list[str]], Architecture] | None = None,
        prepare: dict[str, Callable[[InputSpec], Input]] | None = None,
        loss_weights: dict[str, float] | None = None,
        optim: Optim | None = None,
        init_from: InitialWeights | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(described(locals()) or {}, logger=False)  # a checkpoint says how its model is built
        inputs = {name: spec for name, spec in (inputs or IMAGE).items() if not spec.for_teachers}
        check_names("head", heads, "data.tasks", tasks)
        check_loss_weights(loss_weights or {}, heads)
        check_names("prepare", prepare or {}, "data.inputs", inputs)
        backbone = backbone if isinstance(backbone, Backbone) else backbone(inputs)
        load_rest = load_start(init_from if pretrained_wanted() else None, backbone, inputs)
        trunk = (architecture or HardSharing)(backbone, list(heads))
        built = {name: make(tasks[name], trunk.spec) for name, make in heads.items()}
        ready = {name: (prepare or {}).get(name, input_kind(spec))(spec) for name, spec in inputs.items()}
        self.model = MultiTaskModel(trunk, built, ready)
        load_rest(self.model)
        self.tasks = {name: tasks[name] for name in built}
        self.loss_weights = {name: (loss_weights or {}).get(name, 1.0) for name in built}
        self.objective_steps: dict[str, ObjectiveStep] = {}
        self.more_parameter_groups: list[dict[str, Any]] = []  # for the optimiser: task weights that a method learns
        self.latest_scores: dict[str, Tensor] = {}  # of the last evaluation: monitored metrics, higher is better
        self.optim = optim or Optim()
        self.metrics = nn.ModuleDict({name: head.metrics() for name, head in built.items()})
        self.eval_losses = nn.ModuleDict({name: EvalLoss() for name in built})
        if compile:
            self.model.compile()

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> Self:
        raise TypeError(
            "Lightning's load_from_checkpoint builds whatever classes the file names. Take mtl.evaluation.load: "
            "load_run(RUN_FOLDER) or load_checkpoint(FILE), which build classes of mtl and allowed modules only."
        )

    def configure_callbacks(self) -> list[Callback]:
        refuse_settings(self.trainer)  # here, since this is the first thing that Lightning asks a module
        return []

    def setup(self, stage: str) -> None:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        # a data module of others may lack both; labels that no file name leads to look like a perfect run
        if (check_labels := getattr(data, "check_labels", None)) is not None:
            check_labels(self.tasks)
        if stage == "fit" and (adapt := getattr(data, "adapt", None)) is not None:
            adapt(dict(self.model.named_modules()))

    def configure_optimizers(self) -> Any:
        steps = stepping_batches(self.trainer)
        groups, with_frozen = self.more_parameter_groups, not adds_groups(self.trainer)
        optimizer, schedule = self.optim.build(self.model, steps, groups, with_frozen)
        refuse_optimizer(optimizer, self.trainer, bool(groups))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def forward(self, batch: Batch | Tensor) -> dict[str, Predictions]:
        return self.model.decode(self.model(batch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.model.losses(self.model(batch), batch)
        total, weights = self.objective(losses)
        if (penalty := self.model.trunk.penalty()) is not None:
            total = total + penalty
            self.log("train/penalty", penalty.detach())
        self.log_dict({f"train/loss/{name}": loss.detach() for name, loss in losses.items()})
        # Lightning sends a plain number to the device and waits for it there
        tensors = {n: w if isinstance(w, Tensor) else torch.full_like(total.detach(), w) for n, w in weights.items()}
        self.log_dict({f"weights/{name}": weight for name, weight in tensors.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def on_validation_epoch_start(self) -> None:
        self._reset_metrics()

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Predictions]:
        return self._eval_step(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_start(self) -> None:
        self._reset_metrics()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Predictions]:
        return self._eval_step(batch)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Predictions]:
        return self(batch)  # type: ignore[no-any-return]

    def objective(self, losses: dict[str, Tensor]) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """What is minimised, and the weights of the tasks: the weighted sum, or what the steps before it make of it.

        Args:
            losses: scalar loss of each task.
        """
        chain: Objective = self.weighted_sum
        for name in reversed(OBJECTIVE_STEPS):
            if name in self.objective_steps:
                chain = partial(self.objective_steps[name], rest=chain)
        return chain(losses)

    def teardown(self, stage: str) -> None:
        self.clear_objective()

    def clear_objective(self) -> None:
        """Back to the weighted sum and to plain sharing; callbacks set their steps again at the next fit."""
        self.objective_steps.clear()
        self.model.junction.clear()

    def weighted_sum(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The sum of the losses under their fixed weights, and these weights.

        Args:
            losses: scalar loss of each task.
        """
        weighted = [self.loss_weights[name] * loss for name, loss in losses.items()]
        return torch.stack(weighted).sum(), self.loss_weights

    def task_metrics(self) -> Iterable[tuple[str, TaskMetrics]]:
        """The metric set of every task, by name."""
        for name, metrics in self.metrics.items():
            assert isinstance(metrics, TaskMetrics)
            yield name, metrics

    def eval_loss(self, name: str) -> EvalLoss:
        """The loss of one task over an evaluation.

        Args:
            name: the task's name.
        """
        metric = self.eval_losses[name]
        assert isinstance(metric, EvalLoss)
        return metric

    def _eval_step(self, batch: Batch) -> dict[str, Predictions]:
        outputs = self.model(batch)
        for name, out in outputs.items():
            with counts_taken() as counts:
                loss = self.model.loss(name, out, batch)
            self.eval_loss(name).add(loss, counts, labelled(batch, self.tasks[name]).sum())
        predictions = self.model.decode(outputs)
        for name, metrics in self.task_metrics():
            metrics.update(predictions[name], batch)
        return predictions

    def _reset_metrics(self) -> None:
        for name, metrics in self.task_metrics():
            metrics.reset()
            self.eval_loss(name).reset()
        self.latest_scores = {}

    def _log_metrics(self, stage: str) -> None:
        scores = []
        for name, metrics in self.task_metrics():
            values = metrics.compute(per_class=stage == "test")
            # the values already cover all ranks
            self.log_dict({f"{stage}/{name}/{key}": value.to(self.device) for key, value in values.items()})
            if (loss := self.eval_loss(name).mean()) is not None:
                self.log(f"{stage}/loss/{name}", loss.to(self.device))
            monitor, mode = self.model.head(name).monitor
            if monitor in values:
                scores.append(values[monitor].cpu() if mode == "max" else 1 / (1 + values[monitor].cpu()))
                self.latest_scores[name] = scores[-1]
        if scores:
            # one number to choose a checkpoint by: the mean of the tasks' monitored metrics, an error e as 1 / (1 + e)
            self.log(f"{stage}/score", torch.stack(scores).mean().to(self.device), prog_bar=True, sync_dist=True)
