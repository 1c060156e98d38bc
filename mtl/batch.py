"""Samples and batches: flat dicts; a batch is padded tensors and says who is labelled for which task.

A sample has one entry for each input, one or two for each task that is annotated, and for pictures `image_id`,
`orig_size` (height, width) and `to_original` (scale x, scale y, offset x, offset y: original = pixel * scale + offset).
An entry that is missing means "not annotated", which is not "no objects".
Shapes: B samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl.features import MASK
from mtl.inputs.input import input_kind
from mtl.targets.target import IGNORE_INDEX, Sample, target_of
from mtl.task import IMAGE, PRESENT, Inputs, InputSpec, Task

__all__ = [
    "IGNORE_INDEX", "LABELLED", "PRESENT", "Batch", "Sample", "check_keys", "collate", "labelled", "labelled_tasks"
]  # fmt: skip

Batch = dict[str, Tensor]
ABOUT_SAMPLES = ("image_id", "sample_id", "orig_size", "to_original", "labelled")  # keys of no input and no task
LABELLED = "labelled"  # batch key of the names of the tasks that some sample has a label of; stays on the host


def check_keys(tasks: Mapping[str, Task], inputs: Inputs) -> None:
    """Refuse tasks and inputs that would share a key of the batch, of which the last one written stays.

    Args:
        tasks: every task, by name.
        inputs: every input, by name.

    Raises:
        ValueError: naming the two, for a name that a batch has itself, and for one that torch's containers have.
    """
    owners = dict.fromkeys(ABOUT_SAMPLES, "every batch")
    for name, spec in inputs.items():
        for key in {name, name + MASK, *((spec.present_field,) if spec.optional else ())}:
            if key in owners:
                raise ValueError(f"input {name!r} needs the key {key!r}, which {owners[key]} has; rename it.")
            owners[key] = f"input {name!r}"
    for name, task in tasks.items():
        if hasattr(nn.ModuleDict, name) or name == "training":
            raise ValueError(f"a task cannot be named {name!r}: torch.nn.ModuleDict uses that word itself.")
        for key in dict.fromkeys((*target_of(task).fields, task.labelled_field)):
            if key in owners:
                raise ValueError(f"task {name!r} needs the key {key!r}, which {owners[key]} has; rename the task.")
            owners[key] = f"task {name!r}"


def collate(samples: Sequence[Sample], tasks: Mapping[str, Task], inputs: Inputs = IMAGE) -> Batch:
    """Pad and stack samples; one `labelled/<task>` mask for each task.

    Args:
        samples: B flat dicts.
        tasks: every task of the data module, by name.
        inputs: every input, by name.

    Returns:
        Inputs as their kinds pad them (`image [B,C,H,W]`, `tokens [B,T]` with `tokens_mask`), targets as theirs do,
        `present/<input> [B]` bool of optional inputs, `labelled/<task> [B]` bool, `labelled` (names of the tasks with
        a label), and everything else stacked.

    Raises:
        ValueError: if values of one batch do not fit each other.
    """
    batch: dict[str, Any] = {}
    taken: set[str] = set(inputs)
    for name, spec in inputs.items():
        values = [sample.get(name) for sample in samples]
        if spec.optional:
            taken.add(spec.present_field)
            batch[spec.present_field] = torch.tensor([value is not None for value in values])
            values = _with_blanks(spec, values)
        batch |= input_kind(spec).collate(spec, values)
    of_inputs = dict(batch)
    names = []
    for task in tasks.values():
        target = target_of(task)
        present = [bool(sample.get(task.labelled_field, sample.get(task.name) is not None)) for sample in samples]
        batch[task.labelled_field] = torch.tensor(present)
        batch |= target.collate(samples, present, of_inputs)
        taken |= {*target.fields, task.labelled_field}
        names += [task.name] if any(present) else []
    for key in samples[0].keys() - taken:
        batch[key] = _stack(key, samples)
    batch[LABELLED] = tuple(names)
    return batch


def _with_blanks(spec: InputSpec, values: Sequence[Any]) -> list[Any]:
    """The values of an optional input, with a blank one, all 0, where a sample has none."""
    if not any(value is None for value in values):
        return list(values)
    like = next((value for value in values if value is not None), None)
    if like is None:  # nobody has it: any size will do
        like = input_kind(spec).example(spec, np.random.default_rng(0))
    blank = torch.zeros_like(torch.as_tensor(like))
    return [blank if value is None else value for value in values]


def _stack(key: str, samples: Sequence[Sample]) -> Tensor:
    """An entry that belongs to no input and no task."""
    lacking = sum(key not in sample for sample in samples)
    try:
        if not lacking:
            return torch.stack([torch.as_tensor(sample[key]).as_subclass(Tensor) for sample in samples])
        found = f"is missing in {lacking} of {len(samples)} samples"
    except (RuntimeError, TypeError, ValueError) as error:
        found = f"cannot be stacked ({error})"
    raise ValueError(
        f"entry {key!r} of a sample {found}. It belongs to no declared task or input, so every sample has it, as "
        "numbers of one shape; declare it (`declare_tasks`, `inputs`), or leave it out."
    )


def labelled(batch: Batch, task: Task) -> Tensor:
    """Mask [B] of the samples that carry a label of this task; all of them where the batch does not say.

    Args:
        batch: a batch as `collate` makes it.
        task: the task.
    """
    mask = batch.get(task.labelled_field)
    return mask if mask is not None else torch.ones(len(batch[task.name]), dtype=torch.bool).to(batch[task.name].device)


def labelled_tasks(batch: Batch, tasks: Mapping[str, Task]) -> list[bool]:
    """For each task whether some sample of the batch carries a label; a batch of `collate` says so without a GPU.

    Args:
        batch: a batch.
        tasks: the tasks, by name.
    """
    names: Any = batch.get(LABELLED)
    if names is not None:
        return [name in names for name in tasks]
    return torch.stack([labelled(batch, task).any() for task in tasks.values()]).tolist()
