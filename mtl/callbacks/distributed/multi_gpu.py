"""`MultiGPU`: checks for training on several processes, and their throughput, memory and stragglers.

Shapes: R ranks.
"""

import logging
import time
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.distributed.strategies import refuse_strategy
from mtl.callbacks.logging_steps import is_logging_step
from mtl.callbacks.model_parts import model_of
from mtl.callbacks.tracking.throughput import num_samples
from mtl.data.module import JointDataModule
from mtl.distributed.ranks import each_rank, num_ranks
from mtl.runs.memory import peak_memory_mb

_log = logging.getLogger("mtl.multi_gpu")
_MOST_SHOWN = 16  # ranks that are logged one by one


class MultiGPU(Callback):
    """Checks a distributed run before it starts, and logs throughput, memory and stragglers; one process: nothing.

    Samples are dealt to ranks by seed and epoch, augmentation is drawn by (seed, epoch, index), dropout differs from
    rank to rank, and balancing methods draw the same numbers everywhere; nothing has to be set for that.

    Logged at logging steps, which are the only ones at which ranks exchange something for it: `ranks/straggler`, the
    time that the slowest rank took for loading and forward over the median rank's (what comes later waits for
    all); `ranks/slowest`, which one; `throughput/samples_per_s_per_rank`; `ranks/memory_gb_max` and `_min`, and with up
    to 16 ranks `ranks/memory_gb/<rank>` and `ranks/busy_ms/<rank>`.

    Args:
        lr_scaling: factor on the learning rates of the network, by N = ranks x accumulated batches: none; `linear`, N
            (Goyal et al. 2017, for SGD); `sqrt`, its square root (Malladi et al. 2022, for Adam). Learned task weights
            keep theirs.
        batch_norm: what to do if batch norms see the samples of their own rank only, which are fewer than the batch.
        timeout_s: seconds after which a collective that not all ranks enter ends the run; PyTorch's own (600 for nccl,
            1800 for gloo) where not given.

    Raises:
        ValueError: for a run that could not be right, saying what to change.
    """

    def __init__(
        self,
        lr_scaling: Literal["none", "linear", "sqrt"] = "none",
        batch_norm: Literal["warn", "error", "ignore"] = "warn",
        timeout_s: float | None = None,
    ) -> None:
        if timeout_s is not None and timeout_s <= 0:
            raise ValueError(f"timeout_s={timeout_s} must be above 0.")
        self.lr_scaling = lr_scaling
        self.batch_norm = batch_norm
        self.timeout_s = timeout_s
        self._clock = _Clock(torch.device("cpu"))
        self._samples = 0
        self._since = self._ready = self._loading_s = 0.0
        self._logged_step = 0
        self._hooks: list[Any] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        refuse_strategy(trainer.strategy)
        self._set_timeout([None])
        wanted = getattr(trainer.strategy, "_layer_sync", None) is not None
        if num_ranks() > 1 and stage == "fit" and wanted and trainer.strategy.root_device.type == "cpu":
            raise ValueError(
                "PyTorch's SyncBatchNorm works on GPUs only. Set trainer.sync_batchnorm to false on a CPU, or take a "
                "backbone with group norms."
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._scale_learning_rates(trainer)  # also for one process that accumulates
        if num_ranks() > 1:
            self._check_batch_norms(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if num_ranks() == 1:
            return
        balancings = [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, LossBalancing)]
        self._set_timeout([group for callback in balancings for group in callback.groups])
        _check_inputs(trainer)
        self._clock = _Clock(trainer.strategy.root_device)
        model = model_of(pl_module)
        self._hooks = [
            model.register_forward_pre_hook(lambda *_: self._clock.start()),
            model.register_forward_hook(lambda *_: self._clock.stop()),
        ]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._leave()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_interval()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_interval()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._loading_s += time.perf_counter() - self._ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._ready = time.perf_counter()
        self._samples += num_samples(batch)
        if num_ranks() == 1 or not is_logging_step(trainer, done=True) or trainer.global_step == self._logged_step:
            return
        self._logged_step = trainer.global_step
        memory_gb = (peak_memory_mb(trainer.strategy.root_device) or 0.0) * 2**20 / 1e9
        own = [self._loading_s + self._clock.take_s(), self._ready - self._since, self._samples, memory_gb]
        # float32 for devices without more; no wait at the steps between
        everyone = each_rank(torch.tensor(own, dtype=torch.float32, device=trainer.strategy.root_device))
        pl_module.log_dict(team_numbers(everyone.cpu()))
        self._start_interval()

    def _start_interval(self) -> None:
        self._since = self._ready = time.perf_counter()
        self._samples, self._loading_s = 0, 0.0
        self._clock.take_s()

    def _leave(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _set_timeout(self, groups: list["dist.ProcessGroup | None"]) -> None:
        if num_ranks() > 1 and self.timeout_s is not None:
            # older versions of torch know it under another name
            change = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
            for group in groups:
                change(timedelta(seconds=self.timeout_s), group)

    def _scale_learning_rates(self, trainer: Trainer) -> None:
        num = trainer.world_size * trainer.accumulate_grad_batches
        factor = {"none": 1.0, "linear": float(num), "sqrt": float(num) ** 0.5}[self.lr_scaling]
        if factor == 1:
            return
        # what a checkpoint brings is scaled already, and is restored after this
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                if not str(group.get("name", "")).startswith("balancing/"):
                    for key in {"lr", "initial_lr"} & group.keys():
                        group[key] = group[key] * factor
        for config in trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "base_lrs"):
                groups = config.scheduler.optimizer.param_groups
                config.scheduler.base_lrs = [group["initial_lr"] for group in groups]

    def _check_batch_norms(self, trainer: Trainer, module: LightningModule) -> None:
        norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
        alone = [norm for norm in norms if norm.training and not isinstance(norm, nn.SyncBatchNorm)]
        if not alone or self.batch_norm == "ignore":
            return
        message = (
            f"{len(alone)} batch norms see the samples of their own process only, 1/{num_ranks()} of the batch, so a "
            "step differs from one process with the whole batch. Set trainer.sync_batchnorm to true (GPUs), take "
            "group norms, or say batch_norm: ignore to MultiGPU."
        )
        if self.batch_norm == "error":
            raise ValueError(message)
        if trainer.is_global_zero:
            _log.warning(message)


def team_numbers(everyone_R4: Tensor) -> dict[str, float]:
    """The numbers that are logged about the ranks.

    Args:
        everyone_R4: of each rank the seconds of loading and forward, the seconds of everything, the number of samples,
            and the gigabytes of memory.
    """
    busy_R, seconds_R, samples_R, memory_R = everyone_R4.double().T
    slowest = int(busy_R.argmax())
    numbers = {
        "ranks/straggler": float(busy_R.max() / busy_R.quantile(0.5).clamp_min(1e-9)),
        "ranks/slowest": float(slowest),
        "throughput/samples_per_s_per_rank": float((samples_R / seconds_R.clamp_min(1e-9)).mean()),
        "ranks/memory_gb_max": float(memory_R.max()),
        "ranks/memory_gb_min": float(memory_R.min()),
    }
    if len(everyone_R4) <= _MOST_SHOWN:
        for rank in range(len(everyone_R4)):
            numbers[f"ranks/memory_gb/{rank}"] = float(memory_R[rank])
            numbers[f"ranks/busy_ms/{rank}"] = 1000 * float(busy_R[rank])
    return numbers


class _Clock:
    """Time of forward passes: of the host on a CPU, of the device on a GPU, where it is read at logging steps only."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.seconds = self.started = 0.0
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def start(self) -> None:
        if self.on_gpu:
            self.events.append((torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)))
            self.events[-1][0].record()
        self.started = time.perf_counter()

    def stop(self) -> None:
        if self.on_gpu:
            self.events[-1][1].record()
        else:
            self.seconds += time.perf_counter() - self.started

    def take_s(self) -> float:
        """The seconds since it was asked last."""
        for first, last in self.events:
            last.synchronize()
            self.seconds += first.elapsed_time(last) / 1000
        seconds, self.seconds, self.events = self.seconds, 0.0, []
        return seconds


def _check_inputs(trainer: Trainer) -> None:
    """Ranks that have unequal numbers of batches wait for each other at the end of the epoch, until the timeout."""
    data: Any = getattr(trainer, "datamodule", None)
    known = [float(trainer.num_training_batches), 0.0, 0.0]
    if isinstance(data, JointDataModule):
        known[1:] = [float(data.seed), float(len(data.train_set))]  # type: ignore[arg-type]
    everyone = each_rank(torch.tensor(known, device=trainer.strategy.root_device)).cpu()
    for values, what, way in (
        (everyone[:, 2], "training samples", "Give every process the same files."),
        (everyone[:, 1], "as data.seed", "Give every process the same config: the seed deals the samples to them."),
        (everyone[:, 0], "training batches", "Deal samples by a DistributedSampler, or limit_train_batches."),
    ):
        if (values != values[0]).any():
            other = int((values != values[0]).nonzero()[0])
            raise ValueError(
                f"rank 0 has {values[0]:g} {what}, rank {other} has {values[other]:g}; the ranks would train on other "
                f"data than they should, or wait for each other for ever. {way}"
            )
