"""Backbones with inputs that they take, and batches of these."""

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.fusion import FusionBackbone
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.series.convolutions import SeriesConvolutions
from mtl.batch import Batch, Sample, collate
from mtl.features import MASK, FeatureSpec
from mtl.inputs.input import input_kind, input_kinds
from mtl.task import Inputs, InputSpec

KINDS = ("image", *sorted(set(input_kinds()) - {"image"}))
SPECS = {kind: InputSpec(kind, kind, channels=3 if kind == "image" else 9) for kind in KINDS}


def needed(cls: type[Backbone]) -> dict[str, Any]:
    """Arguments that a backbone has no default for: a fusion needs encoders.

    Args:
        cls: its class.
    """
    small = {"image": SeedCNN, "series": partial(SeriesConvolutions, width=8)}
    return {"encoders": small} if issubclass(cls, FusionBackbone) else {}


def inputs_of(cls: type[Backbone], **arguments: Any) -> Inputs:
    """The fewest inputs that a backbone takes.

    Args:
        cls: its class.
        arguments: of its constructor.
    """
    failed: Exception | None = None
    arguments = needed(cls) | arguments
    for number in range(1, len(KINDS) + 1):
        for kinds in combinations(KINDS, number):
            try:
                cls({kind: SPECS[kind] for kind in kinds}, **arguments)  # type: ignore[call-arg]
            except ImportError as error:
                pytest.skip(str(error))
            except ValueError as error:
                failed = failed or error
            else:
                return {kind: SPECS[kind] for kind in kinds}
    assert failed is not None
    raise failed


def build(cls: type[Backbone], **arguments: Any) -> tuple[Backbone, Inputs]:
    """A backbone with the weights of seed 0, and its inputs.

    Args:
        cls: its class.
        arguments: of its constructor.
    """
    inputs, arguments = inputs_of(cls, **arguments), needed(cls) | arguments
    torch.manual_seed(0)
    return cls(inputs, **arguments), inputs  # type: ignore[call-arg]


def samples(inputs: Inputs, number: int = 3, seed: int = 1) -> list[Sample]:
    """Samples with an example of every input.

    Args:
        inputs: the inputs.
        number: how many.
        seed: of the examples.
    """
    rng = np.random.default_rng(seed)
    return [{name: input_kind(spec).example(spec, rng) for name, spec in inputs.items()} for _ in range(number)]


def prepared(inputs: Inputs, batch: Batch) -> dict[str, Tensor]:
    """What the kinds of inputs make of a batch.

    Args:
        inputs: the inputs.
        batch: the batch.
    """
    found: dict[str, Tensor] = {}
    for spec in inputs.values():
        found |= input_kind(spec)(spec)(batch)
    return found


def random_batch(inputs: Inputs, number: int = 3, seed: int = 1) -> dict[str, Tensor]:
    """Prepared inputs of some samples.

    Args:
        inputs: the inputs.
        number: how many samples.
        seed: of the examples.
    """
    return prepared(inputs, collate(samples(inputs, number, seed), {}, inputs))


def longer(inputs: Inputs, number: int = 3, steps: int = 16) -> dict[str, Tensor]:
    """The same samples as `random_batch`, with more padded steps.

    Args:
        inputs: the inputs.
        number: how many samples.
        steps: how many more.
    """
    made = samples(inputs, number)
    rng = np.random.default_rng(9)
    extra = {name: input_kind(spec).example(spec, rng) for name, spec in inputs.items()}
    for name in inputs:
        longest = max(len(sample[name]) for sample in made)
        steps_first = extra[name].ndim == 1 or (extra[name].ndim == 2 and extra[name].is_floating_point())
        if steps_first and len({len(sample[name]) for sample in made}) > 1:
            # of a waveform many values are one step
            length = longest + max(steps, longest)
            extra[name] = extra[name].repeat(length, *[1] * (extra[name].ndim - 1))[:length]
    batch = collate([*made, extra], {}, inputs)
    return prepared(inputs, {k: v[:number] for k, v in batch.items() if isinstance(v, Tensor)})


def levels(features: dict[str, Tensor], spec: FeatureSpec) -> dict[str, Tensor]:
    """The levels with 0 in their padding.

    Args:
        features: levels and masks.
        spec: their layouts.
    """
    out = {}
    for level, layout in spec.layouts.items():
        mask = features.get(level + MASK)
        value = features[level]
        padded = mask is not None and layout != "vector"
        out[level] = value * mask.unsqueeze(-1 if layout == "sequence" else 1) if padded else value  # type: ignore[union-attr]
    return out
