"""What every kind of input must do. A new file in `mtl/inputs/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.input import Input, input_kind
from mtl.task import InputSpec
from tests.contract.kit.found import found
from tests.contract.kit.trunks import SPECS

INPUTS = found(Input)  # type: ignore[type-abstract]
every_input = pytest.mark.parametrize("cls", INPUTS, ids=lambda cls: cls.__name__)
NUMBER = 4


def spec_of(cls: type[Input]) -> InputSpec:
    return SPECS[cls.kind]


def examples(cls: type[Input], number: int = NUMBER, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [cls.example(spec_of(cls), rng) for _ in range(number)]


def prepared(cls: type[Input], values: Sequence[Any], part: Input | None = None) -> dict[str, Tensor]:
    part = part or cls(spec_of(cls))
    return part.eval()(cls.collate(spec_of(cls), values))


def within(value: Tensor, like: Tensor) -> Tensor:
    """A value cut to the size of another: what lies beyond is padding."""
    return value[tuple(slice(size) for size in like.shape)]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert set(first) == set(second)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, equal_nan=True)


@every_input
def test_the_word_of_its_kind_leads_to_it_and_it_says_what_a_sample_holds(cls: type[Input]) -> None:
    # a subclass that takes over the word is for `prepare`; data sets get its parent
    assert issubclass(cls, input_kind(spec_of(cls)))
    assert cls.form
    assert cls.__doc__


@every_input
def test_examples_follow_their_random_numbers(cls: type[Input]) -> None:
    first, again, other = examples(cls), examples(cls), examples(cls, seed=1)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(two))
    assert any(
        one.shape != two.shape or not torch.equal(one, two)
        for one, two in zip(map(torch.as_tensor, first), map(torch.as_tensor, other), strict=True)
    )


@every_input
def test_a_batch_has_a_row_for_each_sample_under_the_inputs_name(cls: type[Input]) -> None:
    name, values = cls.kind, examples(cls)
    batch = cls.collate(spec_of(cls), values)
    assert name in batch
    for key, value in batch.items():
        assert key.startswith(name), "other keys would overwrite those of another input or target"
        assert len(value) == NUMBER
        assert type(value) is Tensor
    if (mask := batch.get(name + MASK)) is not None:
        assert mask.dtype == torch.bool
        assert mask.shape == batch[name].shape[: mask.ndim]
        assert mask.flatten(1).any(1).all(), "a sample without a real step has nothing to pool"


@every_input
def test_a_sample_without_the_input_is_refused_by_name(cls: type[Input]) -> None:
    """Begin `collate` with `cls.require(spec, values)`."""
    with pytest.raises(ValueError, match=f"1 of {NUMBER} samples.*{cls.kind!r}"):
        cls.collate(spec_of(cls), [*examples(cls, NUMBER - 1), None])


@every_input
def test_the_backbone_gets_finite_numbers_and_the_batch_stays_as_it_was(cls: type[Input]) -> None:
    batch = cls.collate(spec_of(cls), examples(cls))
    before = {key: value.clone() for key, value in batch.items()}
    ready = cls(spec_of(cls))(batch)
    same(batch, before)
    assert cls.kind in ready
    for key, value in ready.items():
        assert len(value) == NUMBER, key
        assert not value.is_floating_point() or value.isfinite().all(), key
    if cls.kind + MASK in batch:
        given, mask = batch[cls.kind + MASK], ready[cls.kind + MASK]
        assert mask.dtype == torch.bool
        assert mask.shape == ready[cls.kind].shape[: mask.ndim]
        assert mask.flatten(1).any(1).all()
        # a kind may make fewer steps of many values, as frames of a waveform
        assert torch.equal(mask, given) or mask.shape[1] < given.shape[1]


@every_input
def test_a_sample_is_prepared_alike_alone_and_in_any_batch(cls: type[Input]) -> None:
    values = examples(cls)
    together = prepared(cls, values)
    for index, value in enumerate(values):
        for key, alone in prepared(cls, [value]).items():
            torch.testing.assert_close(within(together[key][index : index + 1], alone), alone, rtol=1e-6, atol=1e-6)


@every_input
def test_padded_steps_hold_nothing(cls: type[Input]) -> None:
    batch = cls.collate(spec_of(cls), examples(cls))
    mask = batch.get(cls.kind + MASK)
    if mask is None:
        pytest.skip("has no padding")
    for key, value in batch.items():
        if value.shape[: mask.ndim] == mask.shape:
            assert not value[~mask].any(), f"{key}: padding that is not 0"


@every_input
def test_what_it_learns_from_training_samples_is_in_its_state(cls: type[Input]) -> None:
    values = examples(cls, 9)
    part, fresh = cls(spec_of(cls)), cls(spec_of(cls))
    part.adapt(iter(values))
    fresh.load_state_dict(part.state_dict())
    same(prepared(cls, values, part), prepared(cls, values, fresh))
    again = cls(spec_of(cls))
    again.adapt(iter(values))
    same(dict(part.state_dict()), dict(again.state_dict()))
    assert all(value.isfinite().all() for value in part.state_dict().values() if value.is_floating_point())


@every_input
def test_can_be_copied_and_pickled(cls: type[Input]) -> None:
    values = examples(cls)
    part = cls(spec_of(cls))
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        same(prepared(cls, values, part), prepared(cls, values, twin))


@every_input
def test_compiles_to_one_graph(cls: type[Input]) -> None:
    batch = cls.collate(spec_of(cls), examples(cls))
    part = cls(spec_of(cls)).eval()
    torch.compiler.reset()
    same(part(batch), torch.compile(part, backend="eager", fullgraph=True)(batch))
