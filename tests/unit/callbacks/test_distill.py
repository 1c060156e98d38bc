"""A student learns from teachers, inside the law of balancing, and a resumed run ends as an unbroken one."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mtl.architectures.hard_sharing import HardSharing
from mtl.callbacks import distill as module
from mtl.callbacks.distill import Distill
from mtl.config.yaml_lines import ConfigError
from mtl.features import FeatureSpec
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.multilabel import MultilabelHead
from mtl.heads.whole.regression import RegressionHead
from mtl.model import MultiTaskModel
from mtl.task import Task
from tests.contract.kit.architectures import GROUNDS, batch, gradients
from tests.contract.kit.architectures import model as model_of
from tests.contract.kit.law import assert_same, balanced
from tests.contract.kit.ranks import double_precision


@pytest.fixture
def teachers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs by folder name; what `load_checkpoint` finds there."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(module, "find_checkpoint", lambda run: run)
    monkeypatch.setattr(module, "load_checkpoint", lambda run: SimpleNamespace(model=known[run]))
    return known


def fit(tiny: Any, callbacks: list[Callback], steps: int = 4, resume: str | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    student, data = tiny.module(), tiny.data()
    trainer = tiny.trainer(callbacks, max_steps=steps, limit_val_batches=0, **options)
    trainer.fit(student, data, ckpt_path=resume, weights_only=True)
    return trainer, student


def weights(student: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in student.model.state_dict().items()}


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_run_ends_as_an_unbroken_one_and_its_checkpoints_hold_no_teacher(
    tiny: Any, teachers: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    teachers["joint"] = tiny.module().model
    make = partial(Distill, ["joint"], weight=2.0, features=1.0)

    def saves() -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1)

    trainer, whole = fit(tiny, [make(), saves()], enable_checkpointing=True)
    assert not whole.model.added_losses, "nothing is left behind"
    assert {"distill/boxes", "distill/largest"} <= set(trainer.logged_metrics)
    names = torch.load(tmp_path / "step=2.ckpt", weights_only=True)["state_dict"]
    assert len(names) == len(whole.state_dict())
    _, resumed = fit(tiny, [make(), saves()], resume=str(tmp_path / "step=2.ckpt"), enable_checkpointing=True)
    _, plain = fit(tiny, [])
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], value, rtol=1e-6, atol=1e-7)
    assert any(not torch.equal(value, weights(plain)[name]) for name, value in weights(whole).items())
    torch.manual_seed(5)
    for name, value in tiny.module().model.state_dict().items():
        assert torch.equal(value, teachers["joint"].state_dict()[name]), "a teacher learns nothing"


@pytest.mark.parametrize("at", ["features", "parameters"])
def test_a_step_at_the_junction_is_the_plain_step(at: Any) -> None:
    with double_precision():
        check_step(at)


def check_step(at: Any) -> None:
    def student() -> MultiTaskModel:
        return model_of(HardSharing, "map").train()

    torch.manual_seed(3)
    teacher = model_of(HardSharing, "map").eval().requires_grad_(False)
    for parameter in teacher.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    data, found = batch("map"), []
    for balance in (False, True):
        made, callback = student(), Distill(["t"], features=1.0)
        for name in ("first", "third"):  # the regression head takes no teacher
            callback._of_task[name] = teacher
            callback._watch(made, name)
            callback._watch(teacher, name)
            made.added_losses[name] = callback._loss
        if balance:
            found.append(balanced(made, data, at))
        else:
            torch.stack(list(made.losses(made(data), data).values())).sum().backward()
            found.append(gradients(made))
    assert_same(found[1], found[0])
    alone = student()
    torch.stack(list(alone.losses(alone(data), data).values())).sum().backward()
    first = next(name for name, value in found[0].items() if name.startswith("trunk") and value is not None)
    assert not torch.allclose(gradients(alone)[first], found[0][first])  # type: ignore[arg-type]


def test_half_a_batch_on_each_of_two_ranks_is_the_whole_batch() -> None:
    spec = FeatureSpec({"p2": 4, "c4": 4}, {"p2": 4, "c4": 16})
    torch.manual_seed(0)
    heads = [CenterNetHead(Task("a", "detection", 3), spec), ClassificationHead(Task("a", "classification", 3), spec)]
    for head in (*heads, MultilabelHead(Task("a", "multilabel", 3), spec)):
        head.eval()
        views = [{"p2": torch.randn(4, 4, 8, 8), "c4": torch.randn(4, 4, 2, 2)} for _ in range(2)]
        ours, theirs = (head(view) for view in views)
        far_B = head.distill(ours, theirs, 2.0)
        assert far_B is not None
        assert far_B.shape == (4,)
        assert (far_B > 0).all()
        half = head.distill({k: v[:2] for k, v in ours.items()}, {k: v[:2] for k, v in theirs.items()}, 2.0)
        torch.testing.assert_close(half, far_B[:2])
        same = head.distill(theirs, theirs, 2.0)
        torch.testing.assert_close(same, torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("other", "has tasks far, and this model boxes, largest"),
        ("classes", "task 'largest' of teacher 'one' is classification of 3 classes, and here"),
        ("head", "RegressionHead of task|both must be the same"),
        ("twice", "two of the teachers have task 'boxes'"),
        ("tasks", "`tasks` names 'larges'; tasks are boxes, largest. Did you mean 'largest'?"),
        ("inputs", "teacher 'one' takes input 'sound', which this data module does not give"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(tiny: Any, teachers: dict[str, Any], change: str, message: str) -> None:
    student = tiny.module()
    trunk = student.model.trunk
    runs = ["one"]
    if change == "other":
        head = ClassificationHead(Task("far", "classification", 3), trunk.spec)
        teachers["one"] = MultiTaskModel(trunk.backbone, {"far": head})
    elif change == "classes":
        head = ClassificationHead(Task("largest", "classification", 3), trunk.spec)
        teachers["one"] = MultiTaskModel(trunk.backbone, {"largest": head})
    elif change == "head":
        teachers["one"] = MultiTaskModel(
            trunk.backbone, {"largest": RegressionHead(Task("largest", "regression"), trunk.spec)}
        )
    else:
        teachers["one"], runs = tiny.module().model, ["one", "one"] if change == "twice" else ["one"]
        if change == "inputs":
            teachers["one"].inputs["sound"] = teachers["one"].inputs["image"]
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    tasks = ["larges"] if change == "tasks" else None
    with pytest.raises(ConfigError, match=message):
        Distill(runs, tasks=tasks).setup(trainer, student, "fit")  # type: ignore[arg-type]


def test_only_the_chosen_tasks_are_taught(tiny: Any, teachers: dict[str, Any]) -> None:
    student = tiny.module()
    teachers["one"] = tiny.module().model
    # the student's data may give what the teacher alone reads
    teachers["one"].inputs["sound"] = teachers["one"].inputs["image"]
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        datamodule=SimpleNamespace(inputs={"image": None, "sound": None}),
    )
    Distill(["one"], tasks=["largest"]).setup(trainer, student, "fit")  # type: ignore[arg-type]
    assert list(student.model.added_losses) == ["largest"]


def test_standardised_numbers_are_taught_where_they_mean_the_same(tiny: Any, teachers: dict[str, Any]) -> None:
    student = tiny.module()
    trunk, task = student.model.trunk, Task("far", "regression")
    student.model.heads["far"] = RegressionHead(task, trunk.spec, target_std=2.0)
    teachers["one"] = MultiTaskModel(trunk.backbone, {"far": RegressionHead(task, trunk.spec)})
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")))
    with pytest.raises(ConfigError, match=r"target_mean, target_std = \[0.0, 1.0\], and here they are \[0.0, 2.0\]"):
        Distill(["one"]).setup(trainer, student, "fit")  # type: ignore[arg-type]
    ours, theirs = {"standardised": torch.tensor([1.0, 0.0])}, {"standardised": torch.tensor([1.0, 3.0])}
    far_B = RegressionHead(task, trunk.spec).distill(ours, theirs, 2.0)
    assert far_B.tolist() == [0.0, 9.0]


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match="needs teachers"):
        Distill([])
    with pytest.raises(ValueError, match="one of them above"):
        Distill(["a"], weight=0.0)
    assert GROUNDS
