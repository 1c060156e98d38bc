"""`EMA`: validates, saves and tests an exponential moving average of the weights.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim. 1992; the
warm-up of the decay is TensorFlow's `ExponentialMovingAverage(num_updates=...)`.
"""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mtl.distributed.dtensor import gathered, let_go, own_shard, part_of


class EMA(Callback):
    """Keep an average of weights and of batch-norm statistics, and use it wherever the model is measured or saved.

    Checkpoints hold the average as their `state_dict`, so every tool loads it without knowing about averages; the
    weights being trained lie beside it and are taken up again when a run is resumed. Lightning's `EMAWeightAveraging`
    is not used because (2.6) it puts the weights being trained back in place when the best checkpoint is tested in the
    process that trained it, averages on the CPU while the model trains on a GPU, and has no warm-up, so that the first
    thousand steps of a short run are judged by weights close to the random ones. Of shards each rank averages its own.

    Args:
        decay: share of the old average that stays at each optimiser step, 0 to 1.
        warmup: begin with a smaller decay, (1 + n) / (10 + n) after n steps, until `decay` is reached.

    Raises:
        ValueError: if `decay` is not below 1, or a checkpoint callback saves weights only.
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA decay={decay} must lie within 0..1, below 1: 0.999 averages over about 1000 steps.")
        self.decay = decay
        self.warmup = warmup
        self._num_updates = 0
        self._latest_step = 0
        self._resumed: dict[str, Tensor] | None = None  # weights being trained, from a checkpoint
        self._model: dict[str, Tensor] = {}  # the model's own tensors
        self._live: dict[str, Tensor] = {}  # their memory; with shards, this rank's
        self._average: dict[str, Tensor] = {}  # in 32 bits at least: 0.1 % of a change is below the digits of 16 bits
        self._training: dict[str, Tensor] = {}  # the weights being trained, while the average is in use
        self._resumed_average: dict[str, Tensor] = {}  # of a checkpoint, where the weights have fewer digits
        self._in_use = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for callback in trainer.checkpoint_callbacks:
            if stage == "fit" and isinstance(callback, ModelCheckpoint) and callback.save_weights_only:
                raise ValueError(
                    "with save_weights_only=True Lightning asks no callback, so a checkpoint could not hold the "
                    "average of EMA. Set save_weights_only to false, or remove EMA."
                )

        if stage == "fit":  # another fit than the one before; the state of a checkpoint comes after this
            self._num_updates = self._latest_step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # after the model is on its device and, but for shards, a checkpoint is loaded
        self._take(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._resumed is not None:
            self._take(pl_module)

    def _take(self, pl_module: LightningModule) -> None:
        state = pl_module.state_dict()
        measured = {  # numbers that a module measures, such as a temperature, belong to the weights of that moment
            f"{place}.{name}"
            for place, module in pl_module.named_modules()
            for name in getattr(module, "not_averaged", ())
        }
        self._model = {
            name: value for name, value in state.items() if value.is_floating_point() and name not in measured
        }
        self._live = {name: own_shard(value) for name, value in self._model.items()}
        self._average = {name: _exact(weight.clone()) for name, weight in self._live.items()}
        self._in_use = False
        if self._resumed is not None:
            for name, weight in self._live.items():
                weight.copy_(part_of(self._resumed[name], self._model[name]))
            for name, value in self._resumed_average.items():
                self._average[name].copy_(part_of(value, self._model[name]))
            self._resumed, self._resumed_average = None, {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._latest_step:
            return
        self._latest_step = trainer.global_step
        decay = min(self.decay, (1 + self._num_updates) / (10 + self._num_updates)) if self.warmup else self.decay
        self._num_updates += 1
        live = [_exact(weight) for weight in self._live.values()]
        torch._foreach_lerp_(list(self._average.values()), live, 1 - decay)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # what follows, a test or an export, gets the average
        self._swap(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._model, self._live, self._average, self._training, self._in_use = {}, {}, {}, {}, False

    def state_dict(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates, "latest_step": self._latest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_updates, self._latest_step = state_dict["num_updates"], state_dict["latest_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if not self._average:
            return
        held = self._training if self._in_use else self._average
        other = {name: gathered(value, self._model[name]) for name, value in held.items()}
        # of shards the first rank alone gets the whole model
        state = checkpoint["state_dict"] or other
        checkpoint["weights_in_training"] = other if self._in_use else {name: state[name] for name in other}
        if not self._in_use:
            rounded = {name: value.to(self._model[name].dtype) for name, value in other.items()}
            checkpoint["state_dict"] = {**state, **rounded}
        short = {name: value for name, value in self._average.items() if value.dtype != self._model[name].dtype}
        if short:
            checkpoint["exact_average"] = {name: gathered(value, self._model[name]) for name, value in short.items()}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == "fit":
            # a checkpoint made without EMA starts the average from its weights
            self._resumed = checkpoint.get("weights_in_training")
            self._resumed_average = checkpoint.get("exact_average", {})

    def _swap(self, module: LightningModule) -> None:
        let_go(module)
        if self._in_use:
            source, self._training = self._training, {}
        else:
            source, self._training = self._average, {name: weight.clone() for name, weight in self._live.items()}
        torch._foreach_copy_(list(self._live.values()), list(source.values()))
        self._in_use = not self._in_use


def _exact(weight: Tensor) -> Tensor:
    return weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight
