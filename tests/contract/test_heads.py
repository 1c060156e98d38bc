"""What every head must do. A new file in `mtl/heads/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from mtl.batch import Batch
from mtl.discovery import concrete_subclasses
from mtl.distributed.normaliser import counts_taken
from mtl.features import Features
from mtl.heads.head import Head
from mtl.metrics.eval_loss import EvalLoss
from mtl.targets.detection import PADDING_LABEL
from mtl.task import Task
from tests.contract.kit.batches import (
    CASES,
    PLACES,
    SIZE,
    B,
    C,
    build,
    every_head,
    floats,
    padded,
    random_batch,
    random_features,
    target,
    without_labels,
)


def gradients(head: Head, features: Features, batch: Batch) -> dict[str, Tensor]:
    head.zero_grad()
    head.loss(head(features), batch).backward()
    assert not [name for name, parameter in head.named_parameters() if parameter.grad is None], "no gradient"
    return {name: parameter.grad.clone() for name, parameter in head.named_parameters() if parameter.grad is not None}


def test_heads_are_found_and_every_kind_of_target_has_one() -> None:
    assert len(CASES) >= 10
    assert {case.values[0] for case in CASES} == {cls for cls in concrete_subclasses(Head) if "mtl." in cls.__module__}  # type: ignore[type-abstract]


@every_head
def test_declares_its_kinds_and_a_metric_to_choose_a_checkpoint_by(cls: type[Head], kind: str, place: str) -> None:
    """`monitor` names a metric that `compute` gives; one that is better when lower is in `lower_is_better`, alone."""
    head = build(cls, kind, place)
    metrics = head.metrics()
    batch = random_batch(kind, place)
    metrics.update(target(kind).perfect(batch), batch)
    name, mode = head.monitor
    assert mode in ("max", "min")
    values = metrics.compute()
    assert name in values
    # a report reads the direction of every metric there
    assert (mode == "min") == (name in metrics.lower_is_better)
    assert metrics.lower_is_better <= set(values)


@every_head
def test_refuses_a_task_of_another_kind(cls: type[Head], kind: str, place: str) -> None:
    with pytest.raises(ValueError, match="supports tasks of kind"):
        cls(Task("target", "of_another_kind"), PLACES[place].spec)


@every_head
def test_loss_is_finite_and_falls_on_one_batch(cls: type[Head], kind: str, place: str) -> None:
    """A head works on each layout that it is built for: pool with `Pool` (mtl/heads/whole/pooling.py),
    or raise a ValueError in the constructor that names the layouts it takes.
    """
    head, features, batch = build(cls, kind, place), random_features(place), random_batch(kind, place)
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
def test_batch_without_labels_gives_exact_zero_with_a_gradient_for_every_parameter(
    cls: type[Head], kind: str, place: str
) -> None:
    """End `loss` with `masked_mean(loss_B, labelled(batch, self.task))`: mtl/distributed/normaliser.py, batch.py."""
    head, features, batch = build(cls, kind, place), random_features(place), without_labels(kind, place)
    assert head.loss(head(features), batch).item() == 0.0
    for name, gradient in gradients(head, features, batch).items():
        assert (gradient == 0).all(), name


@every_head
@pytest.mark.parametrize("hidden", ["filler", "other", "nan"])
def test_targets_of_an_unlabelled_sample_change_nothing(cls: type[Head], kind: str, place: str, hidden: str) -> None:
    """The loss is a `masked_mean` over labelled samples, and their targets become valid before: NaN times 0 is NaN."""
    head, features, batch = build(cls, kind, place).eval(), random_features(place), random_batch(kind, place)
    batch["labelled/target"][2] = False
    other = {key: value.clone() for key, value in batch.items()}
    source = without_labels(kind, place) if hidden == "filler" else random_batch(kind, place, seed=3)
    for key in target(kind).fields:
        # as long as this batch: a batch of other targets may be padded to another length
        length = [slice(min(a, b)) for a, b in zip(other[key].shape[1:], source[key].shape[1:], strict=True)]
        other[key][2][tuple(length)] = source[key][0 if hidden == "other" else 2][tuple(length)]
    if hidden == "nan" and batch["target"].is_floating_point():
        other["target"][2] = torch.nan
    first, second = gradients(head, features, batch), gradients(head, features, other)
    for name, gradient in first.items():
        torch.testing.assert_close(
            second[name], gradient, rtol=0, atol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


@every_head
def test_features_of_an_unlabelled_sample_get_no_gradient(cls: type[Head], kind: str, place: str) -> None:
    """The loss is a `masked_mean` over labelled samples: `labelled(batch, self.task)` of mtl/batch.py says which."""
    head, batch = build(cls, kind, place).eval(), random_batch(kind, place)
    features = random_features(place)
    for feature in floats(features).values():
        feature.requires_grad_()
    batch["labelled/target"][2] = False
    head.loss(head(features), batch).backward()
    reached = [feature.grad for feature in floats(features).values() if feature.grad is not None]
    assert reached
    assert all((gradient[2] == 0).all() for gradient in reached)
    assert any((gradient[1] != 0).any() for gradient in reached)


@every_head
def test_permuted_samples_give_permuted_predictions(cls: type[Head], kind: str, place: str) -> None:
    head, features, order = build(cls, kind, place).eval(), random_features(place), torch.tensor([3, 0, 5, 1, 4, 2])
    found = head.decode(head(features))
    permuted = head.decode(head({level: feature[order] for level, feature in features.items()}))
    for key, value in found.items():
        torch.testing.assert_close(permuted[key], value[order], rtol=1e-4, atol=1e-4)


@every_head
def test_outputs_and_loss_are_float32_under_bfloat16_autocast(cls: type[Head], kind: str, place: str) -> None:
    """End `forward` with `.float()`."""
    head, features = build(cls, kind, place), random_features(place)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = head({**features, **{level: feature.bfloat16() for level, feature in floats(features).items()}})
        loss = head.loss(outputs, random_batch(kind, place))
    assert {key: value.dtype for key, value in outputs.items() if value.is_floating_point()} == {
        key: torch.float32 for key, value in outputs.items() if value.is_floating_point()
    }
    assert loss.dtype == torch.float32
    assert loss.isfinite()


@every_head
def test_predictions_have_fixed_shapes_and_belong_to_their_sample(cls: type[Head], kind: str, place: str) -> None:
    head = build(cls, kind, place).eval()
    first = head.decode(head(random_features(place)))
    loud = head.decode(head(random_features(place, 4, scale=30)))
    assert {key: value.shape for key, value in first.items()} == {key: value.shape for key, value in loud.items()}
    assert all(len(value) == B for value in first.values())
    assert all(value.isfinite().all() for value in loud.values())


@every_head
def test_metrics_of_perfect_predictions_are_perfect(cls: type[Head], kind: str, place: str) -> None:
    head, batch = build(cls, kind, place), random_batch(kind, place)
    predictions = target(kind).perfect(batch)
    # a wrong answer for a sample that nobody labelled does not count
    batch["labelled/target"][2] = False
    predictions = {key: value.clone() for key, value in predictions.items()}
    for value in predictions.values():
        value[2] = value[1]
    metrics = head.metrics()
    metrics.update(predictions, batch)
    name, mode = head.monitor
    best = 1.0 if mode == "max" else 0.0
    assert metrics.compute()[name].item() == pytest.approx(best, abs=1e-6), (
        f"the monitored metric {name!r} ({mode}) of right predictions must be {best}, as the joint score needs it; "
        "where only rounding is wrong, take a form that is exact there (atan2 for acos)"
    )


@every_head
def test_metrics_without_a_labelled_sample_are_left_out(cls: type[Head], kind: str, place: str) -> None:
    """`update` takes `labelled(batch, self.task)` alone; `compute` leaves out what has no sample."""
    head, batch = build(cls, kind, place).eval(), random_batch(kind, place)
    predictions = head.decode(head(random_features(place)))
    metrics = head.metrics()
    metrics.update(predictions, batch)
    values = metrics.compute(per_class=True)
    assert values
    assert all(value.isfinite() for value in values.values())
    metrics.reset()
    metrics.update(predictions, without_labels(kind, place))
    assert metrics.compute(per_class=True) == {}


@every_head
def test_the_loss_of_an_evaluation_does_not_depend_on_its_batches(cls: type[Head], kind: str, place: str) -> None:
    """`loss` divides one sum by one `global_count`; what it divides in another way depends on who shares a batch."""
    head, features, batch = build(cls, kind, place).eval(), random_features(place), uneven(kind, place)
    measured = EvalLoss()
    with torch.no_grad():
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
            part = {key: value[rows] for key, value in batch.items()}
            with counts_taken() as counts:
                loss = head.loss(head({level: value[rows] for level, value in features.items()}), part)
            measured.add(loss, counts, part["labelled/target"].sum())
        whole = head.loss(head(features), batch)
    torch.testing.assert_close(measured.mean(), whole.float(), rtol=1e-4, atol=1e-6)


@every_head
def test_compiles_to_one_graph(cls: type[Head], kind: str, place: str) -> None:
    head, features, batch = build(cls, kind, place).eval(), random_features(place), random_batch(kind, place)
    # a head whose loss leaves the graph on purpose says so with `loss_compiles = False`
    works: Callable[[], Any] = lambda: head(features)  # noqa: E731
    if getattr(head, "loss_compiles", True):
        works = lambda: head.loss(head(features), batch)  # noqa: E731
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(works, backend="eager", fullgraph=True)(), works())


sequences = pytest.mark.parametrize(("cls", "kind", "place"), [case for case in CASES if case.values[2] == "sequence"])


@sequences
def test_padded_steps_change_nothing(cls: type[Head], kind: str, place: str) -> None:
    head, features, batch = build(cls, kind, place).eval(), random_features(place), random_batch(kind, place)
    more, longer = padded(kind, features)
    # the model gives heads zeros there
    more["t1"] = more["t1"] * more["t1_mask"][..., None]
    torch.testing.assert_close(head.loss(head(more), longer), head.loss(head(features), batch), rtol=1e-6, atol=1e-7)
    for name, gradient in gradients(head, features, batch).items():
        torch.testing.assert_close(gradients(head, more, longer)[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    found, also = head.decode(head(features)), head.decode(head(more))
    for key, value in found.items():
        cut = also[key][:, : value.shape[1]] if value.ndim > 1 and also[key].shape != value.shape else also[key]
        real = features["t1_mask"] if value.shape[:2] == features["t1_mask"].shape else torch.ones(B, dtype=torch.bool)
        torch.testing.assert_close(cut[real], value[real], rtol=1e-5, atol=1e-6, msg=key)
    values = []
    for predictions, of in ((found, batch), (also, longer)):
        metrics = head.metrics()
        metrics.update(predictions, of)
        values.append(metrics.compute(per_class=True))
    torch.testing.assert_close(values[0], values[1])


detectors = pytest.mark.parametrize(("cls", "kind", "place"), [case for case in CASES if case.values[1] == "detection"])


@detectors
def test_boxes_lie_in_the_image_and_padding_is_marked(cls: type[Head], kind: str, place: str) -> None:
    head = build(cls, kind, place).eval()
    found = head.decode(head(random_features(place, 4, scale=30)))
    boxes, scores, labels = found["boxes"], found["scores"], found["labels"]
    assert boxes.shape == (*labels.shape, 4)
    assert scores.shape == labels.shape
    assert ((boxes >= 0) & (boxes <= SIZE)).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((labels >= PADDING_LABEL) & (labels < C)).all()
    assert (scores[labels == PADDING_LABEL] == 0).all()


@detectors
def test_an_image_without_objects_still_teaches(cls: type[Head], kind: str, place: str) -> None:
    head, features = build(cls, kind, place), random_features(place)
    empty = {**without_labels(kind, place), "labelled/target": torch.ones(B, dtype=torch.bool)}
    found = gradients(head, features, empty)
    assert head.loss(head(features), empty) > 0
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any((gradient != 0).any() for gradient in found.values())


def uneven(kind: str, place: str) -> Batch:
    """A batch of which the first half has all labels and the second half one."""
    batch = random_batch(kind, place)
    batch["labelled/target"] = torch.tensor([True, True, True, False, True, False])
    return batch


def averaged_gradients(rank: int, cls: type[Head], kind: str, place: str) -> dict[str, Tensor]:
    half = slice(3 * rank, 3 * rank + 3)
    features = {level: feature[half] for level, feature in random_features(place).items()}
    part = {key: value[half] for key, value in uneven(kind, place).items()}
    averaged = gradients(build(cls, kind, place).eval(), features, part)
    for gradient in averaged.values():
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
    return averaged


@pytest.mark.ddp
@every_head
def test_two_ranks_with_uneven_labels_give_the_gradient_of_one_process(
    cls: type[Head], kind: str, place: str, run_ranks: Callable[..., list[Any]]
) -> None:
    ranks = run_ranks(averaged_gradients, cls, kind, place)
    for name, whole in gradients(build(cls, kind, place).eval(), random_features(place), uneven(kind, place)).items():
        for averaged in ranks:
            torch.testing.assert_close(averaged[name], whole, rtol=1e-4, atol=1e-6, msg=name)
