"""What every head must do. A new file in `mtl/heads/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from mtl.batch import IGNORE_INDEX, PADDING_LABEL, Batch
from mtl.features import Features, FeatureSpec
from mtl.heads.head import Head
from mtl.task import KINDS, Task
from tests.contract.kit.found import found

B, M, C, SIZE = 6, 8, 5, 64
SPEC = FeatureSpec({"p2": 16, "p3": 16, "c4": 24}, {"p2": 4, "p3": 8, "c4": 16})
CASES = [
    pytest.param(head, kind, id=f"{head.__name__}-{kind}")
    for head in found(Head)  # type: ignore[type-abstract]
    for kind in head.kinds
    if kind in KINDS
]
every_head = pytest.mark.parametrize(("cls", "kind"), CASES)


def build(cls: type[Head], kind: str) -> Head:
    torch.manual_seed(0)
    return cls(Task("target", kind, 0 if kind == "regression" else C), SPEC)


def random_features(seed: int = 1) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(B, width, SIZE // SPEC.strides[level], SIZE // SPEC.strides[level], generator=generator)
        for level, width in SPEC.channels.items()
    }


def random_batch(kind: str, seed: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    batch = {"image": torch.zeros(B, 3, SIZE, SIZE), "labelled/target": torch.ones(B, dtype=torch.bool)}
    if kind == "classification":
        batch["target"] = torch.arange(B) % C
    elif kind == "multilabel":
        batch["target"] = torch.eye(C)[torch.arange(B) % C] + torch.eye(C)[(torch.arange(B) + 1) % C]
    elif kind == "regression":
        batch["target"] = 3 + torch.randn(B, generator=generator)
    else:
        corner = torch.rand(B, M, 2, generator=generator) * 30
        batch["target"] = torch.cat((corner, corner + 9 + 24 * torch.rand(B, M, 2, generator=generator)), -1)
        batch["target_labels"] = torch.randint(0, C, (B, M), generator=generator)
        for row in range(B):
            batch["target"][row, 1 + row % 3 :] = 0
            batch["target_labels"][row, 1 + row % 3 :] = PADDING_LABEL
    return batch


def without_labels(batch: Batch, kind: str) -> Batch:
    """The same batch as `collate` would give it, had nobody labelled it."""
    empty = {**batch, "labelled/target": torch.zeros(B, dtype=torch.bool)}
    if kind == "detection":
        return {**empty, "target": torch.zeros(B, M, 4), "target_labels": torch.full((B, M), PADDING_LABEL)}
    return {
        **empty,
        "target": torch.full_like(batch["target"], IGNORE_INDEX if kind == "classification" else torch.nan),
    }


def perfect_predictions(batch: Batch, kind: str) -> dict[str, Tensor]:
    target = batch["target"]
    if kind == "detection":
        return {"boxes": target, "scores": (batch["target_labels"] >= 0).float(), "labels": batch["target_labels"]}
    if kind == "classification":
        return {"labels": target, "scores": torch.ones(B), "probabilities": torch.eye(C)[target]}
    return {"labels": target.long(), "probabilities": target} if kind == "multilabel" else {"values": target}


def gradients(head: Head, features: Features, batch: Batch) -> dict[str, Tensor]:
    head.zero_grad()
    head.loss(head(features), batch).backward()
    assert not [name for name, parameter in head.named_parameters() if parameter.grad is None], "no gradient"
    return {name: parameter.grad.clone() for name, parameter in head.named_parameters() if parameter.grad is not None}


def test_heads_are_found() -> None:
    assert len(CASES) >= 7


@every_head
def test_declares_its_kinds_and_a_metric_to_choose_a_checkpoint_by(cls: type[Head], kind: str) -> None:
    head = build(cls, kind)
    metrics = head.metrics()
    batch = random_batch(kind)
    metrics.update(perfect_predictions(batch, kind), batch)
    name, mode = head.monitor
    assert mode in ("max", "min")
    values = metrics.compute()
    assert name in values
    # a report reads the direction of every metric there
    assert (mode == "min") == (name in metrics.lower_is_better)
    assert metrics.lower_is_better <= set(values)


@every_head
def test_refuses_a_task_of_another_kind(cls: type[Head], kind: str) -> None:
    with pytest.raises(ValueError, match="serves tasks of kind"):
        cls(Task("target", "depth_of_another_kind"), SPEC)


@every_head
def test_loss_is_finite_and_falls_on_one_batch(cls: type[Head], kind: str) -> None:
    head, features, batch = build(cls, kind), random_features(), random_batch(kind)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = head.loss(head(features), batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert loss.shape == ()
    assert torch.tensor(losses).isfinite().all()
    assert sum(losses[-3:]) / 3 < 0.9 * losses[0], losses


@every_head
def test_batch_without_labels_gives_exact_zero_with_a_gradient_for_every_parameter(cls: type[Head], kind: str) -> None:
    head, features, batch = build(cls, kind), random_features(), without_labels(random_batch(kind), kind)
    assert head.loss(head(features), batch).item() == 0.0
    for name, gradient in gradients(head, features, batch).items():
        assert (gradient == 0).all(), name


@every_head
@pytest.mark.parametrize("hidden", ["filler", "other", "nan"])
def test_targets_of_an_unlabelled_sample_change_nothing(cls: type[Head], kind: str, hidden: str) -> None:
    head, features, batch = build(cls, kind).eval(), random_features(), random_batch(kind)
    batch["labelled/target"][2] = False
    other = {key: value.clone() for key, value in batch.items()}
    source = without_labels(batch, kind) if hidden == "filler" else random_batch(kind, seed=3)
    for key in ("target", "target_labels"):
        if key in batch:
            other[key][2] = source[key][0 if hidden == "other" else 2]
    if hidden == "nan" and batch["target"].is_floating_point():
        other["target"][2] = torch.nan
    first, second = gradients(head, features, batch), gradients(head, features, other)
    for name, gradient in first.items():
        torch.testing.assert_close(
            second[name], gradient, rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


@every_head
def test_features_of_an_unlabelled_sample_get_no_gradient(cls: type[Head], kind: str) -> None:
    head, batch = build(cls, kind).eval(), random_batch(kind)
    features = {level: feature.requires_grad_() for level, feature in random_features().items()}
    batch["labelled/target"][2] = False
    head.loss(head(features), batch).backward()
    reached = [feature.grad for feature in features.values() if feature.grad is not None]
    assert reached
    assert all((gradient[2] == 0).all() for gradient in reached)
    assert any((gradient[1] != 0).any() for gradient in reached)


@every_head
def test_permuted_samples_give_permuted_predictions(cls: type[Head], kind: str) -> None:
    head, features, order = build(cls, kind).eval(), random_features(), torch.tensor([3, 0, 5, 1, 4, 2])
    found = head.decode(head(features))
    permuted = head.decode(head({level: feature[order] for level, feature in features.items()}))
    for key, value in found.items():
        torch.testing.assert_close(permuted[key], value[order], rtol=1e-4, atol=1e-4)


@every_head
def test_outputs_and_loss_are_float32_under_bfloat16_autocast(cls: type[Head], kind: str) -> None:
    head, features = build(cls, kind), random_features()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = head({level: feature.bfloat16() for level, feature in features.items()})
        loss = head.loss(outputs, random_batch(kind))
    assert {key: value.dtype for key, value in outputs.items() if value.is_floating_point()} == {
        key: torch.float32 for key, value in outputs.items() if value.is_floating_point()
    }
    assert loss.dtype == torch.float32
    assert loss.isfinite()


@every_head
def test_predictions_have_fixed_shapes_and_belong_to_their_sample(cls: type[Head], kind: str) -> None:
    head = build(cls, kind).eval()
    first = head.decode(head(random_features()))
    loud = head.decode(head({level: 30 * feature for level, feature in random_features(4).items()}))
    assert {key: value.shape for key, value in first.items()} == {key: value.shape for key, value in loud.items()}
    assert all(len(value) == B for value in first.values())
    assert all(value.isfinite().all() for value in loud.values())


@every_head
def test_metrics_of_perfect_predictions_are_perfect(cls: type[Head], kind: str) -> None:
    head, batch = build(cls, kind), random_batch(kind)
    predictions = perfect_predictions(batch, kind)
    # a wrong answer for a sample that nobody labelled does not count
    batch["labelled/target"][2] = False
    predictions = {key: value.clone() for key, value in predictions.items()}
    for value in predictions.values():
        value[2] = value[1]
    metrics = head.metrics()
    metrics.update(predictions, batch)
    name, mode = head.monitor
    assert metrics.compute()[name].item() == pytest.approx(1.0 if mode == "max" else 0.0, abs=1e-6)


@every_head
def test_metrics_without_a_labelled_sample_are_left_out(cls: type[Head], kind: str) -> None:
    head, batch = build(cls, kind).eval(), random_batch(kind)
    predictions = head.decode(head(random_features()))
    metrics = head.metrics()
    metrics.update(predictions, batch)
    values = metrics.compute(per_class=True)
    assert values
    assert all(value.isfinite() for value in values.values())
    metrics.reset()
    metrics.update(predictions, without_labels(batch, kind))
    assert metrics.compute(per_class=True) == {}


@every_head
def test_compiles_to_one_graph(cls: type[Head], kind: str) -> None:
    head, features, batch = build(cls, kind).eval(), random_features(), random_batch(kind)
    # a head whose loss leaves the graph on purpose says so with `loss_compiles = False`
    works: Callable[[], Any] = lambda: head(features)  # noqa: E731
    if getattr(head, "loss_compiles", True):
        works = lambda: head.loss(head(features), batch)  # noqa: E731
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(works, backend="eager", fullgraph=True)(), works())


detectors = pytest.mark.parametrize(("cls", "kind"), [case for case in CASES if case.values[1] == "detection"])


@detectors
def test_boxes_lie_in_the_image_and_padding_is_marked(cls: type[Head], kind: str) -> None:
    head = build(cls, kind).eval()
    found = head.decode(head({level: 30 * feature for level, feature in random_features(4).items()}))
    boxes, scores, labels = found["boxes"], found["scores"], found["labels"]
    assert boxes.shape == (*labels.shape, 4)
    assert scores.shape == labels.shape
    assert ((boxes >= 0) & (boxes <= SIZE)).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((labels >= PADDING_LABEL) & (labels < C)).all()
    assert (scores[labels == PADDING_LABEL] == 0).all()


@detectors
def test_an_image_without_objects_still_teaches(cls: type[Head], kind: str) -> None:
    head, features = build(cls, kind), random_features()
    empty = {**without_labels(random_batch(kind), kind), "labelled/target": torch.ones(B, dtype=torch.bool)}
    found = gradients(head, features, empty)
    assert head.loss(head(features), empty) > 0
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any((gradient != 0).any() for gradient in found.values())


def uneven(kind: str) -> Batch:
    """A batch of which the first half has all labels and the second half one."""
    batch = random_batch(kind)
    batch["labelled/target"] = torch.tensor([True, True, True, False, True, False])
    return batch


def averaged_gradients(rank: int, cls: type[Head], kind: str) -> dict[str, Tensor]:
    half = slice(3 * rank, 3 * rank + 3)
    features = {level: feature[half] for level, feature in random_features().items()}
    part = {key: value[half] for key, value in uneven(kind).items()}
    averaged = gradients(build(cls, kind).eval(), features, part)
    for gradient in averaged.values():
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
    return averaged


@pytest.mark.ddp
@every_head
def test_two_ranks_with_uneven_labels_give_the_gradient_of_one_process(
    cls: type[Head], kind: str, run_ranks: Callable[..., list[Any]]
) -> None:
    ranks = run_ranks(averaged_gradients, cls, kind)
    for name, whole in gradients(build(cls, kind).eval(), random_features(), uneven(kind)).items():
        for averaged in ranks:
            torch.testing.assert_close(averaged[name], whole, rtol=1e-4, atol=1e-6, msg=name)
