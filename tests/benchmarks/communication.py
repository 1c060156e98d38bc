"""Bytes that a rank sends in a training step: plain DDP, balanced at features and at parameters, and shards.

    PYTHONPATH=. python tests/benchmarks/communication.py [--tasks 2 4 8 16] [--arch resnet18]

Two processes train over gloo; every collective is counted by what a ring of many ranks sends of it: an all-reduce of n
bytes 2 n, a reduce-scatter, an all-gather or a broadcast of n bytes n. Numbers of bytes, not of time, so a busy machine
does no harm. DDP's broadcast of batch statistics is counted too, from their size.
"""

import argparse
import logging
import socket
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader

from mtl.backbones.image.torchvision_network import TorchvisionBackbone
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.distributed.fully_sharded import FullySharded
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.task import Task

RANKS, BATCH, SIDE, STEPS = 2, 2, 64, 3
FACTOR = {"all_reduce": 2, "reduce_scatter": 1, "all_gather": 1, "broadcast": 1}


@dataclass(frozen=True)
class Kind:
    """A way to train.

    Attributes:
        name: as printed.
        balancing: makes the callback, or None.
        sharded: by FSDP2 instead of DDP.
    """

    name: str
    balancing: Callable[[], LossBalancing] | None = None
    sharded: bool = False


KINDS = [
    Kind("DDP, plain sum"),
    Kind("DDP, at features", lambda: LossBalancing(UPGrad())),
    Kind("DDP, at features, whole gradients (GradDrop)", lambda: LossBalancing(GradDrop())),
    Kind("DDP, at parameters", lambda: LossBalancing(UPGrad(), at="parameters")),
    Kind("DDP, at parameters, every=4 (a step between)", lambda: LossBalancing(UPGrad(), at="parameters", every=4)),
    Kind("FSDP2, plain sum", None, True),
    Kind("FSDP2, at features", lambda: LossBalancing(UPGrad()), True),
    Kind("FSDP2, at parameters", lambda: LossBalancing(UPGrad(), at="parameters"), True),
]


class Team(LightningEnvironment):
    """Ranks that stand already, as nodes of one process."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.set_global_rank(rank)
        self.set_world_size(RANKS)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def node_rank(self) -> int:
        return self.rank

    def local_rank(self) -> int:
        return 0


class Count(Callback):
    """Bytes by collective, of the last step."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def wrap(self, name: str, kind: str) -> None:
        """Count the calls of a function of `torch.distributed`; of what is sent and got, the larger is the whole."""
        inner = getattr(dist, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            self.add(kind, max(tensors, key=Tensor.numel))
            return inner(*args, **kwargs)

        setattr(dist, name, counted)

    def add(self, kind: str, tensor: Tensor) -> None:
        self.sent[kind] += FACTOR[kind] * tensor.numel() * tensor.element_size()

    def hook(self, state: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        self.add("all_reduce", bucket.buffer())
        buffer = bucket.buffer().div_(RANKS)
        return dist.distributed_c10d._get_default_group().allreduce([buffer]).get_future().then(lambda f: f.value()[0])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning passes hooks on for GPUs only
        if isinstance(trainer.strategy, DDPStrategy):
            trainer.strategy.model.register_comm_hook(None, self.hook)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.sent.clear()
        if isinstance(trainer.strategy, DDPStrategy):  # sent by the reducer itself
            for value in pl_module.model.buffers():
                self.add("broadcast", value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--arch", default="resnet18")
    arguments = parser.parse_args()
    print(f"{arguments.arch}, classification heads, {RANKS} ranks, {BATCH} images of {SIDE} px a rank, float32")
    print("MB that a rank sends in one step, and how many times plain DDP that is\n")
    print(f"{'':46}" + "".join(f"{f'K={num}':>18}" for num in arguments.tasks))
    base: dict[int, float] = {}
    sent = measure(arguments.tasks, arguments.arch)
    for index, kind in enumerate(KINDS):
        cells = []
        for num in arguments.tasks:
            total = sum(sent[index, num].values())
            base.setdefault(num, total)
            cells.append(f"{total / 1e6:10.2f} {f'{total / base[num]:.2f}x':>7}")
        print(f"{kind.name:46}" + "".join(cells), flush=True)


def measure(tasks: list[int], arch: str) -> dict[tuple[int, int], Counter[str]]:
    """Bytes by collective, by kind and number of tasks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=work, args=(rank, tasks, arch, port, queue)) for rank in range(RANKS)]
    for process in processes:
        process.start()
    sent: dict[tuple[int, int], Counter[str]] = {}
    while not sent:
        if not all(process.is_alive() for process in processes) and queue.empty():
            raise RuntimeError("a rank has died; its error stands above")
        with suppress(Empty):
            sent = queue.get(timeout=1)
    for process in processes:
        process.join()
    return sent


def work(rank: int, tasks: list[int], arch: str, port: int, queue: Any) -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    count = Count()
    for name, what in (
        ("all_reduce", "all_reduce"),
        ("reduce_scatter_tensor", "reduce_scatter"),
        ("all_gather_into_tensor", "all_gather"),
        ("reduce_scatter_single", "reduce_scatter"),  # what FSDP of torch 2.15 calls
        ("all_gather_single", "all_gather"),
    ):
        if hasattr(dist, name):
            count.wrap(name, what)
    sent = {(index, num): train(rank, KINDS[index], num, arch, count) for index in range(len(KINDS)) for num in tasks}
    if rank == 0:
        queue.put(sent)
    dist.destroy_process_group()


def train(rank: int, kind: Kind, num_tasks: int, arch: str, count: Count) -> Counter[str]:
    strategy: Any = DDPStrategy(cluster_environment=Team(rank), process_group_backend="gloo")
    if kind.sharded:
        strategy = FullySharded(process_group_backend="gloo")
        strategy.cluster_environment = Team(rank)
    run = Trainer(
        accelerator="cpu",
        devices=1,
        num_nodes=RANKS,
        strategy=strategy,
        callbacks=[count, *([kind.balancing()] if kind.balancing else [])],
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    run.fit(make_module(num_tasks, arch), DataLoader(batches(num_tasks), batch_size=None))
    return Counter(count.sent)


def make_module(num_tasks: int, arch: str) -> MultiTaskLightningModule:
    torch.manual_seed(0)
    tasks = {f"t{k}": Task(f"t{k}", "classification", num_classes=10) for k in range(num_tasks)}
    head: Any = partial(ClassificationHead, levels=["c5"])
    return MultiTaskLightningModule(tasks, TorchvisionBackbone(name=arch, levels=("c5",)), dict.fromkeys(tasks, head))


def batches(num_tasks: int) -> list[dict[str, Tensor]]:
    targets = {f"t{k}": torch.randint(10, (BATCH,)) for k in range(num_tasks)}
    labelled = {f"labelled/t{k}": torch.ones(BATCH, dtype=torch.bool) for k in range(num_tasks)}
    return [{"image": torch.rand(BATCH, 3, SIDE, SIDE), **targets, **labelled}] * STEPS


if __name__ == "__main__":
    main()
