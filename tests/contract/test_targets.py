"""What every kind of target must do. A new file in `mtl/targets/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own; with a head, the tests of heads run on its examples too.
"""

import csv
import io
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.batch import LABELLED, Batch, Sample, collate, labelled_tasks
from mtl.discovery import concrete_subclasses
from mtl.heads.head import Head
from mtl.inputs.input import input_kind
from mtl.targets.overlay import Overlay
from mtl.targets.target import Target, target_of
from mtl.task import Inputs
from tests.contract.kit.batches import PLACES, B, random_batch, task_of
from tests.contract.kit.found import found

TARGETS = found(Target)  # type: ignore[type-abstract]
every_target = pytest.mark.parametrize("cls", TARGETS, ids=lambda cls: cls.__name__)


def inputs_of(cls: type[Target]) -> Inputs:
    """Inputs that the kind's example can follow."""
    failed: Exception | None = None
    for place in PLACES.values():
        try:
            random_batch(cls.kind, place.name)
        except (ValueError, KeyError) as error:
            failed = failed or error
        else:
            return place.inputs
    assert failed is not None
    raise failed


def samples(cls: type[Target], seed: int = 0, number: int = B) -> list[Sample]:
    rng, target, made = np.random.default_rng(seed), target_of(task_of(cls.kind)), []
    for _ in range(number):
        inputs = {name: input_kind(spec).example(spec, rng) for name, spec in inputs_of(cls).items()}
        made.append(inputs | target.example(inputs, rng))
    return made


def without(sample: Sample, target: Target) -> Sample:
    return {key: value for key, value in sample.items() if key not in target.fields}


def batch_of(cls: type[Target], made: list[Sample]) -> Batch:
    task = task_of(cls.kind)
    return collate(made, {task.name: task}, inputs_of(cls))


@every_target
def test_the_word_of_its_kind_leads_to_it_and_some_head_serves_it(cls: type[Target]) -> None:
    target = target_of(task_of(cls.kind))
    assert type(target) is cls
    assert target.form
    assert target.fields[0] == target.task.name
    heads = concrete_subclasses(Head)  # type: ignore[type-abstract]
    assert [head for head in heads if cls.kind in head.kinds], f"no imported head has kind {cls.kind!r}"


@every_target
def test_examples_follow_their_random_numbers_and_carry_a_label(cls: type[Target]) -> None:
    target = target_of(task_of(cls.kind))
    first, again = samples(cls), samples(cls)
    for one, two in zip(first, again, strict=True):
        assert {key for key in one if key in target.fields} == set(target.fields)
        assert not target.is_missing(one)
        assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(two[key])) for key in target.fields)
    batches = [batch_of(cls, samples(cls, seed)) for seed in (0, 1)]
    assert any(
        batches[0][key].shape != batches[1][key].shape or not torch.equal(batches[0][key], batches[1][key])
        for key in target.fields
    )


@every_target
def test_who_is_labelled_is_said_and_an_unlabelled_sample_changes_no_other(cls: type[Target]) -> None:
    target, made = target_of(task_of(cls.kind)), samples(cls)
    whole = batch_of(cls, made)
    made[2] = without(made[2], target)
    part = batch_of(cls, made)
    task = target.task
    assert part[task.labelled_field].tolist() == [index != 2 for index in range(B)]
    assert labelled_tasks(part, {task.name: task}) == [True]
    for key in target.fields:
        for index in (0, 1, 3, 4, 5):
            short = tuple(
                slice(min(a, b)) for a, b in zip(part[key][index].shape, whole[key][index].shape, strict=True)
            )
            torch.testing.assert_close(
                part[key][index][short], whole[key][index][short], rtol=0, atol=0, equal_nan=True
            )


@every_target
def test_a_batch_that_nobody_labelled_has_the_same_types_and_keys(cls: type[Target]) -> None:
    """`missing` gives NaN or -100 (`IGNORE_INDEX`) in the shape and type of a target, or `is_missing` knows another."""
    target, made = target_of(task_of(cls.kind)), samples(cls)
    whole, none = batch_of(cls, made), batch_of(cls, [without(sample, target) for sample in made])
    assert set(none) == set(whole)
    assert none[LABELLED] == ()
    assert not none[target.task.labelled_field].any()
    if cls.collate is Target.collate:
        assert target.is_missing({target.task.name: none[target.task.name][0]}), "`is_missing` does not know `missing`"
    for key in target.fields:
        assert none[key].dtype == whole[key].dtype
        assert none[key].ndim == whole[key].ndim
        assert len(none[key]) == B
        assert none[key].dtype not in (torch.uint8, torch.uint16, torch.uint32), "-100 has no place there"


@every_target
def test_a_batch_is_plain_tensors(cls: type[Target]) -> None:
    batch = batch_of(cls, samples(cls))
    for key in target_of(task_of(cls.kind)).fields:
        assert type(batch[key]) is Tensor


@every_target
def test_right_predictions_are_shown_as_right_and_make_rows_of_a_table(cls: type[Target]) -> None:
    target, batch = target_of(task_of(cls.kind)), batch_of(cls, samples(cls))
    predictions = target.perfect(batch)
    assert all(len(value) == B for value in predictions.values())
    for index in range(B):
        shown = target.overlay(predictions, index, batch)
        assert isinstance(shown, Overlay)
        assert shown.predicted is not None or shown.answer is not None, "nothing to show"
        if shown.predicted is not None:
            assert type(shown.true) is type(shown.predicted)
        if shown.answer is not None:
            assert shown.answer.correct in (True, None)
            assert shown.answer.true == shown.answer.predicted or shown.answer.correct is None
        alone = target.overlay(predictions, index)
        assert alone.true is None
        row = target.row(alone)
        assert all(key == target.task.name or key.startswith(target.task.name) for key in row)
        csv.writer(io.StringIO()).writerow(row.values())


@every_target
def test_views_have_one_value_for_each_sample_and_mark_the_unknown(cls: type[Target]) -> None:
    target, batch = target_of(task_of(cls.kind)), batch_of(cls, samples(cls))
    known = torch.tensor([True] * (B - 1) + [False])
    for view in target.views(batch, known):
        assert view.shape == (B,)
        assert bool(view[-1].isnan() if view.is_floating_point() else view[-1] == -1)
        assert bool(view[:-1].isfinite().all() if view.is_floating_point() else (view[:-1] >= 0).all())


@every_target
def test_cells_of_a_table_are_read_or_refused(cls: type[Target]) -> None:
    target = target_of(task_of(cls.kind))
    if cls.parse is Target.parse:
        with pytest.raises(ValueError, match="is not read from a table"):
            target.parse(["x"], [""], "|")
        return
    assert target.parse(["?"], ["?"], "|") is None
    if target.missing({}).shape == (0,):  # of any length
        with pytest.raises(ValueError, match="whose samples are of any length"):
            target.empty(3)
        return
    empty = target.empty(3)
    assert len(empty) == 3
    assert all(target.is_missing({target.task.name: value}) for value in empty)


@every_target
def test_can_be_pickled_with_its_task(cls: type[Target]) -> None:
    target = pickle.loads(pickle.dumps(target_of(task_of(cls.kind))))
    assert (type(target), target.task) == (cls, task_of(cls.kind))
