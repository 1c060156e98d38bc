"""Batches and features that heads are tested on, made of the examples of the kinds of targets and inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.batch import LABELLED, Batch, Sample, collate
from mtl.features import MASK, Features, FeatureSpec
from mtl.heads.head import Head
from mtl.inputs.input import input_kind
from mtl.targets.target import Target, target_of
from mtl.task import IMAGE, Inputs, InputSpec, Task
from tests.contract.kit.found import found

B, C, SIZE = 6, 5, 64
MORE_STEPS = 16


@dataclass(frozen=True)
class Place:
    """Where a head may stand.

    Args:
        name: layout of its features.
        spec: the features.
        inputs: the inputs that the targets' examples follow.
    """

    name: str
    spec: FeatureSpec
    inputs: Inputs


PLACES = {
    place.name: place
    for place in (
        Place("map", FeatureSpec({"p2": 16, "p3": 16, "c4": 24}, {"p2": 4, "p3": 8, "c4": 16}), IMAGE),
        Place(
            "sequence", FeatureSpec({"t1": 16}, layouts={"t1": "sequence"}), {"words": InputSpec("words", "tokens", 9)}
        ),
        Place("vector", FeatureSpec({"h": 16}, layouts={"h": "vector"}), {"row": InputSpec("row", "table", 3)}),
    )
}


def task_of(kind: str) -> Task:
    """A task of a kind, with classes where it needs some.

    Args:
        kind: the kind.
    """
    plain = Task("target", kind)
    try:
        target_of(plain)
    except ValueError:
        return Task("target", kind, C)
    return plain


def build(cls: type[Head], kind: str, place: str) -> Head:
    """A head with the weights of seed 0.

    Args:
        cls: its class.
        kind: a kind that it serves.
        place: name of one of `PLACES`.
    """
    torch.manual_seed(0)
    task = task_of(kind)
    target_of(task)
    return cls(task, PLACES[place].spec)


def places_of(cls: type[Head], kind: str) -> list[str]:
    """Where a head can be built; the first place where it cannot be anywhere, so that a test says why.

    Args:
        cls: its class.
        kind: a kind that it serves.
    """
    fitting = []
    for name in PLACES:
        try:
            build(cls, kind, name)
            random_batch(kind, name)
        except (ValueError, KeyError):
            continue
        fitting.append(name)
    return fitting or ["map"]


def samples(kind: str, place: str, seed: int = 2, labelled: bool = True) -> list[Sample]:
    """B samples with an example of every input and of the target.

    Args:
        kind: kind of the target.
        place: name of one of `PLACES`.
        seed: of the targets; the inputs are the same for all.
        labelled: whether they carry a target.
    """
    of_inputs, rng = np.random.default_rng(1), np.random.default_rng(seed)
    made = []
    for _ in range(B):
        inputs = {name: input_kind(spec).example(spec, of_inputs) for name, spec in PLACES[place].inputs.items()}
        made.append(inputs | (target_of(task_of(kind)).example(inputs, rng) if labelled else {}))
    return made


def batch_of(kind: str, place: str, made: list[Sample]) -> Batch:
    """What `collate` makes of samples, without the names that a test would have to keep in step.

    Args:
        kind: kind of the target.
        place: name of one of `PLACES`.
        made: the samples.
    """
    batch = collate(made, {"target": task_of(kind)}, PLACES[place].inputs)
    del batch[LABELLED]
    return batch


def random_batch(kind: str, place: str, seed: int = 2) -> Batch:
    """A batch in which everything is labelled.

    Args:
        kind: kind of the target.
        place: name of one of `PLACES`.
        seed: of the targets.
    """
    return batch_of(kind, place, samples(kind, place, seed))


def without_labels(kind: str, place: str) -> Batch:
    """The same batch, had nobody labelled it.

    Args:
        kind: kind of the target.
        place: name of one of `PLACES`.
    """
    return batch_of(kind, place, samples(kind, place, labelled=False))


def random_features(place: str, seed: int = 1, scale: float = 1.0) -> Features:
    """Features for that batch.

    Args:
        place: name of one of `PLACES`.
        seed: of the values.
        scale: of the values.
    """
    generator = torch.Generator().manual_seed(seed)
    spec, features = PLACES[place].spec, {}
    batch = random_batch("regression", place)
    for level, width in spec.channels.items():
        if spec.layouts[level] == "map":
            side = SIZE // spec.strides[level]
            features[level] = torch.randn(B, width, side, side, generator=generator)
        elif spec.layouts[level] == "sequence":
            mask = batch["words" + MASK]
            features[level] = torch.randn(*mask.shape, width, generator=generator) * mask[..., None]
            features[level + MASK] = mask
        else:
            features[level] = torch.randn(B, width, generator=generator)
    return {key: scale * value if value.is_floating_point() else value for key, value in features.items()}


def padded(kind: str, features: Features) -> tuple[Features, Batch]:
    """Features and batch of sequences with more padded steps, that hold anything.

    Args:
        kind: kind of the target.
        features: as `random_features` gives them.
    """
    longest = features["t1"].shape[1] + MORE_STEPS
    long = {"words": torch.ones(longest, dtype=torch.long)}
    batch = batch_of(kind, "sequence", [*samples(kind, "sequence"), long])
    noise = torch.randn(B, MORE_STEPS, features["t1"].shape[2], generator=torch.Generator().manual_seed(9))
    mask = torch.cat((features["t1" + MASK], torch.zeros(B, MORE_STEPS, dtype=torch.bool)), 1)
    return {"t1": torch.cat((features["t1"], noise), 1), "t1" + MASK: mask}, {k: v[:B] for k, v in batch.items()}


def target(kind: str) -> Target:
    """The target of the tested task.

    Args:
        kind: its kind.
    """
    return target_of(task_of(kind))


def floats(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The levels, without masks.

    Args:
        features: levels and masks.
    """
    return {key: value for key, value in features.items() if value.is_floating_point()}


CASES = [
    pytest.param(head, kind, place, id=f"{head.__name__}-{kind}-{place}")
    for head in found(Head)  # type: ignore[type-abstract]
    for kind in head.kinds
    for place in places_of(head, kind)
]
every_head = pytest.mark.parametrize(("cls", "kind", "place"), CASES)
