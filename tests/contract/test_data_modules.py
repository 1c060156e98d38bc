"""What every data module must do. A new file in `mtl/data/` is tested here by being found, on its `example_args`.

`pytest --contract my.module.Class` tests a class of your own.
"""

import os
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mtl.batch import LABELLED, Batch
from mtl.data.label_check import count_by_reading
from mtl.data.module import JointDataModule
from mtl.inputs.input import input_kind
from mtl.targets.target import target_of
from tests.contract.kit.found import VARIABLE, found

MODULES = found(JointDataModule)  # type: ignore[type-abstract]


def has_example(cls: type[JointDataModule]) -> bool:
    with TemporaryDirectory() as folder:
        return cls.example_args(Path(folder)) is not None


WITH_EXAMPLE = [cls for cls in MODULES if has_example(cls)]
every_module = pytest.mark.parametrize("cls", WITH_EXAMPLE, ids=lambda cls: cls.__name__)
SPLITS = ("train", "val", "test")
BATCH = 2


@pytest.fixture
def arguments(cls: type[JointDataModule], tmp_path: Path) -> dict[str, Any]:
    """Arguments of a tiny instance."""
    return {"batch_size": BATCH, **(cls.example_args(tmp_path) or {})}


@pytest.mark.parametrize("cls", MODULES, ids=lambda cls: cls.__name__)
def test_it_has_an_example(cls: type[JointDataModule]) -> None:
    if cls not in WITH_EXAMPLE and not os.environ.get(VARIABLE):
        pytest.skip(f"{cls.__name__} has no example_args; its own tests build its files")
    assert cls in WITH_EXAMPLE, f"write {cls.__name__}.example_args(folder): arguments of a tiny instance"


def ready(cls: type[JointDataModule], arguments: dict[str, Any], **more: Any) -> JointDataModule:
    data = cls(**arguments, **more)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    return data


def samples(data: JointDataModule, split: str) -> list[dict[str, Any]]:
    part: Any = getattr(data, f"{split}_set")
    return [part[index] for index in range(len(part))]


def loaders(data: JointDataModule) -> dict[str, DataLoader[Batch]]:
    return {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and first.is_floating_point():
        return torch.equal(torch.nan_to_num(first, nan=-7), torch.nan_to_num(second, nan=-7))
    return bool(torch.equal(torch.as_tensor(first), torch.as_tensor(second)))


@every_module
def test_tasks_and_inputs_are_declared_before_anything_is_read(
    cls: type[JointDataModule], arguments: dict[str, Any]
) -> None:
    tasks, inputs = cls.declare_tasks(**arguments), cls.declare_inputs(**arguments)
    data = cls(**arguments)
    assert (data.tasks, dict(data.inputs)) == (tasks, dict(inputs))
    assert all(name == task.name for name, task in tasks.items())
    assert tasks
    assert inputs
    data = ready(cls, arguments)
    assert (data.tasks, dict(data.inputs)) == (tasks, dict(inputs)), "what the model was built for has changed"


@every_module
def test_every_sample_has_the_inputs_and_every_task_a_label_in_training(
    cls: type[JointDataModule], arguments: dict[str, Any]
) -> None:
    data = ready(cls, arguments)
    for split in SPLITS:
        for sample in samples(data, split):
            assert all(sample.get(name) is not None for name in data.inputs)
            known = {key for task in data.tasks.values() for key in (*target_of(task).fields, task.labelled_field)}
            assert all(key in known or torch.as_tensor(sample[key]).ndim <= 1 for key in sample.keys() - {*data.inputs})
    counts = data.count_labels("train", data.tasks)
    assert all(count.labelled for count in counts.values())
    # counted in arrays or by reading, it is the same
    read = count_by_reading(data.train_set, data.tasks)
    assert {name for name, count in counts.items() if count.labelled} == {n for n, c in read.items() if c.labelled}


@every_module
def test_batches_have_the_inputs_the_targets_and_who_is_labelled(
    cls: type[JointDataModule], arguments: dict[str, Any]
) -> None:
    for split, loader in loaders(ready(cls, arguments)).items():
        data, seen = cls(**arguments), 0
        for batch in loader:
            size = len(batch[next(iter(data.inputs))])
            seen += size
            for name, spec in data.inputs.items():
                for value in input_kind(spec)(spec)(batch).values():
                    assert len(value) == size, name
            for task in data.tasks.values():
                assert batch[task.labelled_field].shape == (size,)
                assert all(len(batch[key]) == size for key in target_of(task).fields)
            assert set(batch[LABELLED]) <= set(data.tasks)
        assert seen > 0, split


@every_module
def test_a_sample_is_the_same_at_every_reading_and_in_every_instance(
    cls: type[JointDataModule], arguments: dict[str, Any]
) -> None:
    first, other = ready(cls, arguments), ready(cls, arguments)
    other.setup("fit")  # Lightning calls it more than once
    for split in SPLITS:
        for one, again, theirs in zip(samples(first, split), samples(first, split), samples(other, split), strict=True):
            assert set(one) == set(again) == set(theirs)
            assert all(same(one[key], again[key]) and same(one[key], theirs[key]) for key in one)


@every_module
def test_no_sample_of_training_is_in_the_test(cls: type[JointDataModule], arguments: dict[str, Any]) -> None:
    data = ready(cls, arguments)
    # the whole sample: rows of a table may be equal by chance, not with all their labels
    keys = [*data.inputs, *data.tasks]

    def contents(split: str) -> list[list[Any]]:
        return [[torch.as_tensor(s[k]).tolist() for k in keys if s.get(k) is not None] for s in samples(data, split)]

    train, test = contents("train"), contents("test")
    assert not [sample for sample in test if sample in train]


@every_module
def test_workers_give_the_batches_of_the_main_process_and_epochs_differ_in_order(
    cls: type[JointDataModule], arguments: dict[str, Any]
) -> None:
    alone, helped = ready(cls, arguments), ready(cls, arguments, num_workers=1)
    here, there = alone.train_dataloader(), helped.train_dataloader()
    for one, other in zip(here, there, strict=True):
        assert all(same(one[key], other[key]) for key in one if key != LABELLED)
    again: Any = alone.train_dataloader()
    again.sampler.set_epoch(1)
    name = next(iter(alone.inputs))
    first, second = ([batch[name] for batch in loader] for loader in (here, again))
    assert len(first) == len(second)
    assert any(one.shape != two.shape or not same(one, two) for one, two in zip(first, second, strict=True))


@every_module
def test_a_loader_goes_on_in_the_middle_of_an_epoch(cls: type[JointDataModule], arguments: dict[str, Any]) -> None:
    data = ready(cls, arguments)
    whole = list(data.train_dataloader())
    loader: Any = ready(cls, arguments).train_dataloader()
    loader.load_state_dict({"epoch": 0, "batches": 1})
    rest = list(loader)
    assert len(rest) == len(whole) - 1 > 0
    for one, other in zip(whole[1:], rest, strict=True):
        assert all(same(one[key], other[key]) for key in one if key != LABELLED)


@every_module
def test_samples_can_be_sent_to_spawned_workers(cls: type[JointDataModule], arguments: dict[str, Any]) -> None:
    data = ready(cls, arguments)
    twin: Any = pickle.loads(pickle.dumps(data.train_set))
    one, other = data.train_set[0], twin[0]
    assert all(same(one[key], other[key]) for key in one)
