"""`FullySharded`: weights, gradients and optimiser states in shards, one on each rank (FSDP2).

Source: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", SC 2020, stage 3.
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.utilities.optimizer import _optimizers_to_device
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from mtl.distributed.dtensor import is_sharded, own_shard, share_weights, total_norm
from mtl.errors import did_you_mean
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule

_TIMEOUT = timedelta(minutes=30)


class FullySharded(ModelParallelStrategy):
    """Shards the trunk and each head over all ranks; on GPUs over nccl, on a CPU over gloo.

    Lightning's `ModelParallelStrategy` with the model's sharding in place: nothing is written in the module, one file
    holds the whole checkpoint, and every rank is a data-parallel one. What is trained is what DDP trains.

    Args:
        blocks: class names of modules in the trunk that are gathered one by one, for example `[Bottleneck]`; by
            default the trunk is gathered as a whole, and only gradients and optimiser states are saved.
        process_group_backend: nccl or gloo; by the device where not given.
        timeout: of a collective.

    Raises:
        ValueError: at the start of a run, if the trunk has no module of such a class, or if it is to train what is
            not a `MultiTaskLightningModule`.
    """

    def __init__(
        self,
        blocks: Sequence[str] = (),
        process_group_backend: str | None = None,
        timeout: timedelta = _TIMEOUT,
    ) -> None:
        super().__init__(1, 1, False, process_group_backend, timeout)
        self.blocks = tuple(blocks)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    # the parent asks for a `configure_model` in the module
    def setup(self, trainer: Trainer) -> None:
        if not isinstance(self.model, MultiTaskLightningModule) or self.accelerator is None:
            raise ValueError(f"FullySharded shards a MultiTaskLightningModule; found {type(self.model).__name__}.")
        self.accelerator.setup(trainer)
        module: Any = self.model
        if trainer.state.fn == TrainerFn.FITTING and self._layer_sync:
            module = self._layer_sync.apply(module)
        module = self.precision_plugin.convert_module(module).to(self.root_device)
        # shards are flat pieces of the memory, which must be in the order of the dimensions
        module.model.set_memory_format(channels_last=False)
        self.model = module
        if not is_sharded(module.parameters()):  # a test follows training
            mesh = init_device_mesh(self.root_device.type, (self.world_size,))
            share_weights(module.model)
            shard(module.model, mesh, self.blocks)
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()
        self.precision_plugin.clip_grad_by_norm = _clip_by_norm  # type: ignore[method-assign]
        self.precision_plugin.clip_grad_by_value = _clip_by_value  # type: ignore[method-assign]
        if trainer.state.fn == TrainerFn.FITTING:
            _optimizers_to_device(self.optimizers, self.root_device)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        optimizers = self.optimizers
        saved = torch.load(checkpoint_path, map_location="cpu", mmap=True, weights_only=True).get(
            "optimizer_states", []
        )
        if optimizers and not any(state["state"] for state in saved):
            # Lightning fails at an optimiser without state, such as plain SGD; what there is are its settings
            self.optimizers = []
            for optimizer, state in zip(optimizers, saved, strict=True):
                for group, found in zip(optimizer.param_groups, state["param_groups"], strict=True):
                    group.update({key: value for key, value in found.items() if key != "params"})
        try:
            # which Lightning forgets to pass on when it loads after the set-up
            return super().load_checkpoint(checkpoint_path, True if weights_only is None else weights_only)
        finally:
            self.optimizers = optimizers


StrategyRegistry.register("fully_sharded", FullySharded, "FSDP2 of the trunk and of each head", override=True)


def shard(model: MultiTaskModel, mesh: DeviceMesh, blocks: Sequence[str] = ()) -> None:
    """Replace the parameters of a model by their shards.

    Args:
        model: the model; every rank must hold the same weights.
        mesh: the ranks.
        blocks: class names of modules in the trunk that are gathered one by one.

    Raises:
        ValueError: if the trunk has no module of such a class.
    """
    found: Mapping[str, list[nn.Module]] = {name: [] for name in blocks}
    kinds = set()
    for part in model.trunk.modules():
        kinds.add(type(part).__name__)
        if type(part).__name__ in found:
            found[type(part).__name__].append(part)
    for name, parts in found.items():
        if not parts:
            raise ValueError(
                f"FullySharded is to gather {name!r} block by block, and the trunk has no module of that class."
                f"{did_you_mean(name, kinds)} It has {', '.join(sorted(kinds))}."
            )
        for part in parts:
            fully_shard(part, mesh=mesh)
    # a warning about in-place work on outputs, which no loss does
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module .* returned a view tensor")
    # a head may use its parameters in its loss, after its forward
    firsts = [getattr(part, "first", None) for part in model.trunk.of_task.values()]
    for part in [*(first for first in firsts if first is not None), model.trunk, *model.heads.values(), model]:
        fully_shard(part, mesh=mesh, reshard_after_forward=False)
    for entry in ("cut", "view"):  # the model calls these two, never the trunk's forward
        register_fsdp_forward_method(model.trunk, entry)
    norms = [part for part in model.modules() if type(part) is not nn.SyncBatchNorm and isinstance(part, _BatchNorm)]
    statistics = [value for norm in norms for value in norm.buffers() if value.is_floating_point()]
    if statistics:
        model.register_forward_pre_hook(lambda module, _: _share_statistics(module, statistics))


def _clip_by_norm(optimizer: Optimizer, clip_val: float) -> None:
    """As torch does it, which refuses shards beside what is whole on every rank, such as learned task weights."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if clip_val > 0 and gradients:
        factor = (clip_val / (total_norm(gradients) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_([own_shard(gradient) for gradient in gradients], factor)


def _share_statistics(module: nn.Module, statistics: Sequence[Tensor]) -> None:
    """Copy rank 0's values to all ranks, as DDP does."""
    if module.training:
        flat = torch.cat(list(statistics))
        dist.broadcast(flat, 0)
        torch._foreach_copy_(list(statistics), list(flat.split([len(value) for value in statistics])))


def _clip_by_value(optimizer: Optimizer, clip_val: float) -> None:
    """The same of single values."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if clip_val > 0:
        for gradient in gradients:
            own_shard(gradient).clamp_(-clip_val, clip_val)
