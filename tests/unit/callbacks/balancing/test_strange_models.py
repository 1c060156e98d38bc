"""Models that few people build: each trains as without balancing, or is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.balancing.equal import Equal
from mtl.balancing.mgda import MGDA
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.transformed import TransformedWeighting
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.features import Features, FeatureSpec
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from mtl.scheduling.round_robin import RoundRobin
from mtl.task import Task
from tests.contract.kit.runs import trainer

TASKS = {name: Task(name, "classification", class_names=("x", "y", "z")) for name in "abc"}


class Trunk(Backbone):
    """Two levels; the second is made from the first."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.spec = FeatureSpec({"c3": 8, "p2": 8}, {"c3": 8, "p2": 4})

    def forward(self, image: Tensor) -> Features:
        fine = self.fine(image)
        return {"c3": self.deep(fine), "p2": fine}


class Probe(ClassificationHead):
    """Reads the features and teaches them nothing."""

    def forward(self, features: Features) -> Any:
        return super().forward({name: level.detach() for name, level in features.items()})


class Tied(ClassificationHead):
    """Uses a layer of the trunk once more."""

    again: list[nn.Module]

    def forward(self, features: Features) -> Any:
        return super().forward({**features, "c3": features["c3"] + self.again[0](features["p2"])})


def batches(number: int) -> torch.utils.data.DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    labels = {f"labelled/{name}": torch.ones(4, dtype=torch.bool) for name in TASKS}
    made = [
        {
            "image": torch.randint(0, 255, (4, 3, 16, 16), dtype=torch.uint8, generator=generator),
            **{name: torch.randint(0, 3, (4,), generator=generator) for name in TASKS},
            **labels,
        }
        for _ in range(number)
    ]
    return torch.utils.data.DataLoader(made, batch_size=None)  # type: ignore[arg-type]


def trained(second: type[ClassificationHead], *callbacks: Callback, steps: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(0)
    heads = {"a": ClassificationHead, "b": second, "c": ClassificationHead}
    optim = Optim(lambda groups: torch.optim.SGD(groups, lr=0.1), schedule="constant", warmup_steps=0)
    loop = MultiTaskLightningModule(TASKS, Trunk(), heads, optim=optim)
    if second is Tied:
        loop.model.head("b").again = [loop.model.trunk.backbone.deep[0]]  # type: ignore[attr-defined, union-attr, index]
    trainer(list(callbacks), max_steps=steps, max_epochs=1).fit(loop, batches(steps), batches(1))
    return {name: value.detach().clone() for name, value in loop.named_parameters()}


@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize("method", [NashMTL, MGDA])
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_head_that_teaches_the_trunk_nothing_is_absent(method: Callable[[], Any], at: Any, scheduled: bool) -> None:
    torch.manual_seed(0)
    start = Trunk().fine[0].weight.detach().clone()
    schedule = [TaskScheduling(RoundRobin())] if scheduled else []
    found = trained(Probe, *schedule, LossBalancing(method(), at=at))
    assert all(value.isfinite().all() for value in found.values())
    assert not torch.equal(next(v for k, v in found.items() if k.endswith("fine.0.weight")), start), (
        "trunk stands still"
    )


@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_layer_of_the_trunk_that_a_head_uses_again_is_right_or_refused(at: Any, scheduled: bool) -> None:
    schedule: Callable[[], list[Callback]] = lambda: [TaskScheduling(RoundRobin())] if scheduled else []  # noqa: E731
    plain = trained(Tied, *schedule())
    equal = LossBalancing(TransformedWeighting(Equal()), at=at)
    if at == "features":
        with pytest.raises(ValueError, match="deep.0.weight.*parameters"):
            trained(Tied, *schedule(), equal)
        return
    found = trained(Tied, *schedule(), equal)
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_filters_of_one_and_three_dimensions_stay_as_they_are() -> None:
    class Volumes(Trunk):
        def __init__(self) -> None:
            super().__init__()
            self.volume, self.line = nn.Conv3d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, image: Tensor) -> Features:
            found = super().forward(self.volume(image[:, None])[:, 0])
            found["c3"] = self.line(found["c3"].flatten(2).flatten(0, 1)[:, None]).view_as(found["c3"])
            return found

    heads = dict.fromkeys(TASKS, ClassificationHead)
    loop = MultiTaskLightningModule(TASKS, Volumes(), heads)
    assert loop.model.channels_last
    batch = next(iter(batches(1)))
    losses = loop.model.losses(loop.model(batch), batch)
    assert all(loss.isfinite() for loss in losses.values())
    assert loop.model.trunk.backbone.volume.weight.is_contiguous()  # type: ignore[union-attr, operator]
