"""Tiny runs of four tasks on digit scenes under a balancing method, at every place where it can be put."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import Dataset

from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientAggregation, LossWeighting
from mtl.batch import Sample
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.features import Features, FeatureSpec
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.regression import RegressionHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from tests.contract.kit.found import found
from tests.contract.kit.methods import example

HEADS = {"boxes": CenterNetHead, "largest": ClassificationHead, "count": RegressionHead, "parity": ClassificationHead}


def places(cls: type[Method]) -> tuple[str, ...]:
    """Where `LossBalancing` can put a method.

    Args:
        cls: its class.
    """
    return ("features",) if issubclass(cls, LossWeighting) else example(cls).at


def at_all_places() -> list[Any]:
    """Every method found at every place, as parameters `cls, at`."""
    return [pytest.param(cls, at, id=f"{cls.__name__}-{at}") for cls in found(Method) for at in _places_or_none(cls)]


def one_of_each_kind() -> list[Any]:
    """The first loss method, weighting and aggregation at every place: for tests of the seam, whatever the method."""
    seen, chosen = set(), []
    for parameters in at_all_places():
        cls, at = parameters.values
        kind = (issubclass(cls, LossWeighting), issubclass(cls, GradientAggregation), at)
        if kind not in seen:
            seen.add(kind)
            chosen.append(parameters)
    return chosen


def in_turns(parameters: list[Any], turn: int, turns: int) -> list[Any]:
    """Every so many of some parameters; the others are left for the night, or for `--contract` with their class.

    Args:
        parameters: as `at_all_places` gives them.
        turn: which ones, 0 to `turns` - 1; tests of one thing under other conditions take other turns.
        turns: how many of them make the whole.
    """
    return [
        each
        if index % turns == turn
        else pytest.param(*each.values, id=each.id, marks=[*each.marks, pytest.mark.nightly])
        for index, each in enumerate(parameters)
    ]


def _places_or_none(cls: type[Method]) -> tuple[str, ...]:
    try:
        return places(cls)
    except pytest.skip.Exception:
        return ("features",)


class Partly(Dataset[Sample]):
    """Scenes of which only some carry labels: task -> indices that have one."""

    def __init__(self, scenes: Dataset[Sample], kept: dict[str, set[int]]) -> None:
        self.scenes = scenes
        self.kept = kept

    def __len__(self) -> int:
        return len(self.scenes)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        lost = {task for task, indices in self.kept.items() if index not in indices}
        lost |= {"box_labels"} if "boxes" in lost else set()
        return {key: value for key, value in self.scenes[index].items() if key not in lost}


class Scenes(DigitScenes):
    """Four tasks; in some batches nobody counted the digits."""

    made: ClassVar[dict[int, tuple[Dataset[Sample], Dataset[Sample]]]] = {}  # the same scenes in every run

    def __init__(self, batch_size: int = 4, num_train: int = 16, kept: dict[str, set[int]] | None = None) -> None:
        super().__init__(["largest", "count", "parity"], num_train, 4, 4, 32, max_digit_px=20, batch_size=batch_size)
        self.kept = {"count": {0, 1, 2, 3, 4}} if kept is None else kept

    def setup(self, stage: str) -> None:
        assert stage == "fit"
        size = self.counts["train"]
        if size not in Scenes.made:
            super().setup(stage)
            Scenes.made[size] = (self.train_set, self.val_set)
        self.train_set, self.val_set = Scenes.made[size]
        self.train_set = Partly(self.train_set, self.kept)


class Norms(Backbone):
    """A trunk with two levels and group norms: batch statistics are those of a rank, and differ by nature."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.GroupNorm(2, 8), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.ReLU())
        self.spec = FeatureSpec({"c3": 8, "p2": 8}, {"c3": 8, "p2": 4})

    def forward(self, image: Tensor) -> Features:
        fine = self.fine(image)
        return {"c3": self.deep(fine), "p2": fine}


def module(backbone: Backbone | None = None, lr: float = 0.05, **settings: Any) -> MultiTaskLightningModule:
    """A loop with the four heads.

    Args:
        backbone: a small residual one by default.
        lr: of plain SGD.
        settings: more arguments of the loop.
    """
    torch.manual_seed(1)
    optim = Optim(partial(torch.optim.SGD, lr=lr), schedule="constant", warmup_steps=0)
    backbone = backbone or ResidualFPN(width=4, pyramid_width=8)
    tasks = Scenes.declare_tasks(["largest", "count", "parity"])
    return MultiTaskLightningModule(tasks, backbone, HEADS, optim=optim, **settings)


def trainer(callbacks: list[Callback], **settings: Any) -> Trainer:
    """A silent trainer on the CPU; no validation, but scores as if there was one.

    Args:
        callbacks: its callbacks.
        settings: more arguments of the trainer.
    """
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    }
    return Trainer(callbacks=[Scores(), *callbacks], **defaults | settings)


class Scores(Callback):
    """Validation metrics of every task, from nowhere."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        for name in pl_module.model.heads:
            pl_module.log(f"val/{name}/{pl_module.model.head(name).monitor[0]}", 0.1 * len(name))


class Watch(Callback):
    """Sums up the gradients that the optimiser gets, and keeps the weights of every batch."""

    def __init__(self) -> None:
        self.gradient: Tensor = torch.zeros(())
        self.weights: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.gradient = self.gradient + torch.cat([p.grad.flatten() for p in pl_module.parameters()])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        logged = trainer.callback_metrics.items()
        self.weights.append({name: value.clone() for name, value in logged if name.startswith("weights/")})


class Save(Callback):
    """Writes a checkpoint in the middle of the first epoch, after all other callbacks, as Lightning's own does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 1 and batch_idx == 1:
            trainer.save_checkpoint(self.path)


def state(loop: MultiTaskLightningModule, method: Method) -> dict[str, Tensor]:
    """Everything that training changed in the model and in the method.

    Args:
        loop: the loop.
        method: its method.
    """
    own = [*method.named_parameters(), *method.named_buffers()]
    return {**loop.state_dict(), **{f"method.{name}": value.detach() for name, value in own}}
