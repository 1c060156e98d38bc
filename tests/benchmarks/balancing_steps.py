"""What `balancing.py` times: networks, batches, and one training step of every kind on them.

Every step here is a whole one: forward, losses, backward, AdamW. Ours are driven through `LossBalancing` itself, with
the few things it asks of a trainer; nothing is rebuilt for the benchmark.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

import mtl.balancing
from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.image.timm_network import TimmBackbone
from mtl.backbones.image.torchvision_network import TorchvisionBackbone
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientWeighting, LossWeighting
from mtl.batch import LABELLED, Batch
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.data.module import JointDataModule
from mtl.discovery import concrete_subclasses
from mtl.features import Features
from mtl.functional import on_host
from mtl.heads.detection.fcos import FCOSHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.targets.detection import PADDING_LABEL
from mtl.task import Task

NUM_CLASSES = 10
assert mtl.balancing  # importing the package imports every method


@dataclass(frozen=True)
class Arch:
    """A network to measure.

    Attributes:
        backbone: makes it.
        side: of the images, in pixels.
        batch: images on a CPU.
        level: that the classification heads read.
        boxes: whether one of the K heads detects.
    """

    backbone: Callable[[], Backbone]
    side: int
    batch: int
    level: str
    boxes: bool = False


ARCHS = {
    "cnn3": Arch(SeedCNN, 32, 64, "c3"),
    "resnet18": Arch(partial(TorchvisionBackbone, name="resnet18", levels=("c5",)), 128, 8, "c5"),
    "resnet18-fpn": Arch(
        partial(TorchvisionBackbone, name="resnet18", levels=("p3", "p4", "p5")), 128, 8, "p5", boxes=True
    ),
    "residual-fpn": Arch(partial(ResidualFPN, blocks=2), 64, 32, "p2"),
    "vit-tiny": Arch(partial(TimmBackbone, name="vit_tiny_patch16_224", levels=("c4",), image_size=128), 128, 8, "c4"),
    "resnet50": Arch(partial(TorchvisionBackbone, name="resnet50", levels=("c5",)), 224, 8, "c5"),
    "resnet50-fpn": Arch(
        partial(TorchvisionBackbone, name="resnet50", levels=("p3", "p4", "p5")), 640, 2, "p5", boxes=True
    ),
}
Step = Callable[[], None]


class Setting:
    """A network with K heads, batches that can be learned, an optimiser, and the steps on them.

    Args:
        arch: a name in `ARCHS`.
        num_tasks: K.
        device: where it runs.
        batch: images; what the arch says by default.
        bf16: run the model under bfloat16 autocast.
        channels_last: memory format of the plain step.
        fused: whether AdamW is fused.
        architecture: how the tasks share the backbone; all of it by default.
    """

    def __init__(
        self,
        arch: str,
        num_tasks: int,
        device: str = "cpu",
        batch: int | None = None,
        bf16: bool = False,
        channels_last: bool = True,
        fused: bool = True,
        architecture: Callable[[Backbone, list[str]], Architecture] | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.arch, self.num_tasks, self.device, self.bf16 = ARCHS[arch], num_tasks, torch.device(device), bf16
        self.arch_name = arch
        names = [f"task{index}" for index in range(num_tasks)]
        if self.arch.boxes:
            names[0] = "boxes"
        self.tasks = {name: Task(name, "classification", NUM_CLASSES) for name in names}
        heads: dict[str, Any] = {
            name: partial(ClassificationHead, levels=[self.arch.level], hidden=64) for name in names
        }
        if self.arch.boxes:
            self.tasks[names[0]] = Task(names[0], "detection", NUM_CLASSES)
            heads[names[0]] = partial(FCOSHead, num_convs=1)
        self.module = MultiTaskLightningModule(self.tasks, self.arch.backbone(), heads, architecture=architecture).to(
            self.device
        )
        self.model = self.module.model
        self.model.set_memory_format(channels_last)
        self.shared = self.model.partition().shared
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=fused)
        self.truth = [torch.randn(3 * 8 * 8, NUM_CLASSES, device=self.device) for _ in names]
        self.batch = self.make_batch(batch or self.arch.batch)
        for _ in range(3):  # the first steps of a network are like no others; AdamW gets its state
            self.plain()()

    def make_batch(self, images: int) -> Batch:
        """Random images whose labels are a function of them, so that there is something to learn."""
        side, device = self.arch.side, self.device
        image = torch.rand(images, 3, side, side, device=device)
        coarse = nn.functional.adaptive_avg_pool2d(image, 8).flatten(1) - 0.5
        batch: Batch = {"image": image}
        for (name, task), truth in zip(self.tasks.items(), self.truth, strict=True):
            if task.kind == "detection":
                corner = torch.rand(images, 4, 2, device=device) * side * 0.6
                batch["boxes"] = torch.cat((corner, corner + side * (0.1 + 0.3 * torch.rand_like(corner))), -1)
                batch["box_labels"] = (coarse @ truth).topk(4).indices
                batch["box_labels"][::2, 3] = PADDING_LABEL
            else:
                batch[name] = (coarse @ truth).argmax(1)
            batch[f"labelled/{name}"] = torch.ones(images, dtype=torch.bool, device=device)
        return batch

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def losses(self) -> dict[str, Tensor]:
        with self.autocast():
            return self.model.losses(self.model(self.batch), self.batch)

    def shared_gradient(self) -> Tensor:
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.shared]
        return torch.cat([gradient.flatten() for gradient in found]).double()

    def plain(self) -> Step:
        """The step that everything is a multiple of: the plain sum of the losses."""

        def step() -> None:
            self.optimizer.zero_grad()
            self.module.weighted_sum(self.losses())[0].backward()
            self.optimizer.step()

        return step

    def floor(self, batched: bool = False) -> Step:
        """What K exact passes cost at least: forward, heads, K passes through the trunk, AdamW; no method.

        Args:
            batched: make the K passes one, over gradients that are stacked (`is_grads_batched`).
        """

        def step() -> None:
            self.optimizer.zero_grad()
            with self.autocast():
                features = self.model.cut(self.batch)
                views = {name: {k: v.detach().requires_grad_() for k, v in features.items()} for name in self.tasks}
                outputs = {name: head(views[name]) for name, head in self.model.heads.items()}
                losses = self.model.losses(outputs, self.batch)
            torch.stack(list(losses.values())).sum().backward()
            passed = self._one_pass if batched else self._passes
            for parameter, gradient in zip(self.shared, passed(features, list(views.values())), strict=True):
                parameter.grad = gradient
            self.optimizer.step()

        return step

    def _passes(self, features: Features, views: list[Features]) -> Sequence[Tensor | None]:
        found: Sequence[Tensor | None] = []
        for index, view in enumerate(views):
            used = [(features[k], v.grad) for k, v in view.items() if v.grad is not None]
            found = torch.autograd.grad(
                [level for level, _ in used], self.shared, [grad for _, grad in used], allow_unused=True,
                retain_graph=index < len(views) - 1,
            )  # fmt: skip
        return found

    def _one_pass(self, features: Features, views: list[Features]) -> Sequence[Tensor | None]:
        names = [name for name in features if any(view[name].grad is not None for view in views)]
        rows = [torch.stack([_grad(view[name]) for view in views]) for name in names]
        levels = [features[name] for name in names]
        found = torch.autograd.grad(levels, self.shared, rows, is_grads_batched=True, allow_unused=True)
        return [None if gradient is None else gradient[-1] for gradient in found]

    def live_bytes(self) -> int:
        """Bytes that stay between two steps: parameters, buffers, AdamW's averages and the batch."""
        state = [value for values in self.optimizer.state.values() for value in values.values()]
        kept = [*self.model.parameters(), *self.model.buffers(), *state, *self.batch.values()]
        return sum(tensor.nbytes for tensor in kept if isinstance(tensor, Tensor))


def _grad(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


class _Loader(JointDataModule):
    """Says which tasks have labels; batches come from `Setting`."""

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {}


class Balanced:
    """Steps through `LossBalancing`. Several take turns on one model, so each attaches itself for its own steps.

    Args:
        setting: the model, batch and optimiser.
        method: the method; it gets its own copy.
        at: where it looks at gradients.
        every: how often it is asked.
        solvers_on_gpu: let a GPU solve the K x K problems, which the product leaves to the host.
    """

    def __init__(
        self,
        setting: Setting,
        method: Method,
        at: Literal["features", "parameters"],
        every: int = 1,
        solvers_on_gpu: bool = False,
    ) -> None:
        self.setting = setting
        self.moved_from = set() if solvers_on_gpu else set(on_host.moved_from)
        on_losses = isinstance(method, LossWeighting)
        self.callback = LossBalancing(copy.deepcopy(method), **({} if on_losses else {"at": at, "every": every}))
        # all that the callback asks of a trainer
        self.trainer: Any = SimpleNamespace(
            accumulate_grad_batches=1,
            precision_plugin=SimpleNamespace(scaler=None),
            optimizers=[],
            strategy=SimpleNamespace(root_device=setting.device, model=setting.module),
            callbacks=[],
            global_step=0,
            datamodule=_Loader(setting.tasks),
        )
        self.callback.setup(self.trainer, setting.module, "fit")
        self.callback.on_fit_start(self.trainer, setting.module)
        self.steps, self.node = dict(setting.module.objective_steps), setting.model.junction.node
        self.detach()

    def gradients(self, step: int = 0) -> None:
        """Forward and backward.

        Args:
            step: number of the step; the method is asked where `every` divides it.
        """
        module, self.trainer.global_step = self.setting.module, step
        module.objective_steps, self.setting.model.junction.node = dict(self.steps), self.node
        self.setting.optimizer.zero_grad()
        # the loader has looked while the batch was on the host
        batch: Batch = {**self.setting.batch, LABELLED: tuple(self.setting.tasks)}
        self.callback.on_train_batch_start(self.trainer, module, batch, step)
        objective, _ = module.objective(self.setting.losses())
        objective.backward()
        self.detach()

    def step(self, step: int = 0) -> Step:
        """A whole step.

        Args:
            step: 0 asks the method; 1 keeps the weights that the last one gave, with `every` above 1.
        """

        def run() -> None:
            before, on_host.moved_from = on_host.moved_from, self.moved_from
            try:
                self.gradients(step)
            finally:
                on_host.moved_from = before
            self.setting.optimizer.step()

        return run

    def detach(self) -> None:
        self.callback.teardown(self.trainer, self.setting.module, "fit")


def find_method(name: str, num_tasks: int = 2) -> Method | None:
    """An instance of a method by class name, None where there is none of that name.

    Args:
        name: of the class.
        num_tasks: K.
    """
    return next((cls.example(num_tasks) for cls in concrete_subclasses(Method) if cls.__name__ == name), None)


def gramian_methods() -> list[str]:
    """Names of all methods that see the Gramian; those of other libraries are left out."""
    found = [cls for cls in concrete_subclasses(GradientWeighting) if not cls.adapter]  # type: ignore[type-abstract]
    return sorted(cls.__name__ for cls in found if "features" in cls.example().at)
