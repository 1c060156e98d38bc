"""What tasks use of the shared features: a model made by hand, invariance, missing labels, several ranks, a run."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from mtl.backbones.backbone import Backbone
from mtl.batch import Batch
from mtl.callbacks.pictures.feature_usage import FeatureUsage, measure_usage
from mtl.distributed.normaliser import masked_mean
from mtl.features import Features, FeatureSpec
from mtl.functional.channel_usage import usage_overlap, usage_shares
from mtl.heads.head import Head, Outputs
from mtl.inputs.image import ImageInput
from mtl.model import MultiTaskModel
from mtl.runs.metrics_csv import MetricsCSV
from mtl.task import IMAGE, Task


class Colours(Backbone):
    """Every colour of the image is a channel of one level; the other level is half as fine."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.spec = FeatureSpec({"fine": 3, "coarse": 3}, {"fine": 1, "coarse": 2})

    def forward(self, image: Tensor) -> Features:
        fine = image * self.gain
        return {"fine": fine, "coarse": torch.nn.functional.avg_pool2d(fine, 2)}


class OneChannel(Head):
    """Reads one channel of one level, and nothing else."""

    kinds = ("regression",)
    monitor = ("mae", "min")

    def __init__(self, name: str, channel: int, level: str = "fine", scale: float = 1.0) -> None:
        super().__init__(Task(name, "regression"), Colours().spec)
        self.channel, self.level, self.scale = channel, level, scale
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, features: Features) -> Outputs:
        return {"values": self.weight * features[self.level][:, self.channel].mean((1, 2))}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        error_B = outputs["values"] - batch[self.task.name]
        return self.scale * masked_mean(error_B.square(), batch[self.task.labelled_field])  # counts on all ranks

    def decode(self, outputs: Outputs) -> dict[str, Tensor]:
        return dict(outputs)

    def metrics(self) -> Any:
        raise NotImplementedError


def colours(scale: float = 1.0, level: str = "fine") -> MultiTaskModel:
    heads = {name: OneChannel(name, channel, level, scale) for channel, name in enumerate(("red", "green", "blue"))}
    image = ImageInput(IMAGE["image"], mean=[0.0] * 3, std=[1.0] * 3)
    return MultiTaskModel(Colours(), heads, {"image": image}).eval()


def batch(labelled: tuple[str, ...] = ("red", "green", "blue")) -> Batch:
    image = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found: Batch = {"image": image}
    for name in ("red", "green", "blue"):
        found[name] = torch.zeros(4)
        found[f"labelled/{name}"] = torch.full((4,), name in labelled)
    return found


def test_channel_c_serves_task_c_and_no_other() -> None:
    usage_KC, _ = measure_usage(colours(), [batch(), batch()])
    shares_KC = usage_shares(usage_KC)
    expected = torch.zeros(3, 6, dtype=torch.float64)
    expected[:, :3] = torch.eye(3)
    torch.testing.assert_close(shares_KC, expected)
    torch.testing.assert_close(usage_overlap(shares_KC), torch.eye(3, dtype=torch.float64))


def test_another_level_is_told_apart() -> None:
    shares_KC = usage_shares(measure_usage(colours(level="coarse"), [batch()])[0])
    assert shares_KC[:, :3].sum() == 0
    torch.testing.assert_close(shares_KC[:, 3:], torch.eye(3, dtype=torch.float64))


def test_the_number_itself_by_hand() -> None:
    # loss = mean over images of m^2 with m the mean of the channel: gradient 2 m / (B h w), times the activation
    given = batch()
    red = given["image"][:, 0]
    usage_KC, saliency = measure_usage(colours(), [given], num_pictures=2)
    expected = (2 * red.mean((1, 2))[:, None, None] / (4 * 64) * red).abs()
    assert float(usage_KC[0, 0]) == pytest.approx(float(expected.sum()), rel=1e-5)
    assert len(saliency) == 2
    # a level as fine as the image needs no spreading
    torch.testing.assert_close(saliency[1][0], expected[1])


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_saliency_of_a_picture_sums_to_its_usage(level: str) -> None:
    usage_KC, saliency = measure_usage(colours(level=level), [batch()], num_pictures=4)
    total_K = torch.stack(saliency).sum((0, 2, 3))
    # at the border the upsampling repeats the last cell
    torch.testing.assert_close(total_K, usage_KC.sum(1), rtol=0.05, atol=0)


def test_the_scale_of_a_loss_does_not_count() -> None:
    small, large = (usage_shares(measure_usage(colours(scale), [batch()])[0]) for scale in (1e-3, 1e3))
    torch.testing.assert_close(small, large)


def test_a_task_without_labels_is_not_known_and_disturbs_no_other() -> None:
    usage_KC, saliency = measure_usage(colours(), [batch(labelled=("red", "blue"))], num_pictures=1)
    shares_KC = usage_shares(usage_KC)
    assert shares_KC[1].isnan().all()
    torch.testing.assert_close(shares_KC[2, 2], torch.tensor(1.0, dtype=torch.float64))
    assert not saliency[0][1].any()


def test_a_frozen_backbone_is_looked_at_like_any_other_and_nothing_is_left_behind() -> None:
    model = colours()
    learned, _ = measure_usage(model, [batch()])
    frozen, _ = measure_usage(model.requires_grad_(requires_grad=False), [batch()])
    assert torch.equal(learned, frozen)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_run_writes_pictures_and_tables(tiny: Any, tmp_path: Path) -> None:
    trainer = tiny.trainer([FeatureUsage(2, 2)], logger=MetricsCSV(tmp_path / "metrics.csv"))
    trainer.test(tiny.module(levels=["c4"]), tiny.data(), verbose=False)
    for name in ("saliency", "feature_usage"):
        with Image.open(tmp_path / f"pictures/{name}.png") as picture:
            assert min(picture.size) > 200
    with (tmp_path / "feature_usage.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 + 8  # c4 and p2
    for name, level in (("boxes", "p2"), ("largest", "c4")):
        assert sum(float(row[name]) for row in rows) == pytest.approx(1, abs=1e-4)
        assert {row["level"] for row in rows if row["owner"] == name} == {level}
    with (tmp_path / "feature_overlap.csv").open() as file:
        assert [float(row["largest"]) for row in csv.DictReader(file)] == pytest.approx([0, 1], abs=1e-6)


def test_training_is_not_touched(tiny: Any) -> None:
    steps = [name for name in vars(FeatureUsage) if "train" in name or "fit" in name or "backward" in name]
    assert steps == ["on_train_start"]


def write_on_a_rank(rank: int, folder: str, most: int) -> int:
    """The end of a test in which rank 0 had one batch more; how many batches are still held."""
    model = colours()
    trainer = SimpleNamespace(is_global_zero=rank == 0, loggers=[], global_step=1)
    module = SimpleNamespace(model=model, device=torch.device("cpu"))
    usage = FeatureUsage(0, 4, Path(folder))
    usage._batches = [batch()] * (most - rank)
    usage.on_test_epoch_end(trainer, module)  # type: ignore[arg-type]
    return len(usage._batches)


@pytest.mark.ddp
@pytest.mark.parametrize("most", [2, 1], ids=["one batch more", "a rank without any"])
def test_ranks_with_unequal_numbers_of_batches_do_not_wait_for_each_other(
    most: int, tmp_path: Path, run_ranks: Any
) -> None:
    assert run_ranks(write_on_a_rank, str(tmp_path), most) == [0, 0]
    written = tmp_path / "feature_overlap.csv"
    assert written.is_file() == (most == 2)
    if most == 2:
        with written.open() as file:
            assert [float(row["green"]) for row in csv.DictReader(file)] == [0, 1, 0]


def test_wandb_gets_pictures_and_overlaps(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtl.callbacks.tracking.wandb_run import WandbRun

    sent: dict[str, Any] = {}

    class Recorder:
        def log(self, values: dict[str, Any]) -> None:
            sent.update(values)

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: None

    monkeypatch.setattr(WandbRun, "experiment", Recorder())
    trainer = tiny.trainer([FeatureUsage(1, 1, tmp_path)], logger=WandbRun(tmp_path, mode="offline"))
    trainer.test(tiny.module(levels=["c4"]), tiny.data(), verbose=False)
    assert {"test/saliency", "test/feature_usage", "test/feature_overlap/boxes_largest"} <= set(sent)
    assert sent["test/feature_overlap/boxes_largest"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("options", [{"num_pictures": -1}, {"num_batches": 0}])
def test_rejects_numbers_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 0, num_batches"):
        FeatureUsage(**options)
