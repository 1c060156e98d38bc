"""Samples and batches: flat dicts; a batch is padded tensors and says who is labelled for which task.

A sample: `image` (uint8 [3,H,W]), `image_id`, `orig_size` (height, width), `to_original` (scale x, scale y, offset x,
offset y: original = pixel * scale + offset), one entry per labelled task, and for a detection task its boxes (xyxy px)
and their class indices. An entry that is missing means "not annotated", which is not "no objects".
Shapes: B samples, M boxes of the fullest sample rounded up, C classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.task import Task

Sample = dict[str, Any]
Batch = dict[str, Tensor]

IGNORE_INDEX = -100  # a missing class index, the default of torch's losses
PADDING_LABEL = -1  # class index of a padded box
BOXES_MULTIPLE = 8  # M is rounded up to it, so compiled graphs see few shapes


def collate(samples: Sequence[Sample], tasks: Mapping[str, Task]) -> Batch:
    """Pad and stack samples; one `labelled/<task>` mask for each task.

    Args:
        samples: B flat dicts.
        tasks: every task of the data module, by name.

    Returns:
        `image [B,3,H,W]`, `<task> [B]` (-100 or NaN = missing), `boxes [B,M,4]`, `box_labels [B,M]` (-1 = padding),
        `labelled/<task> [B]` bool, and everything else stacked as it is.

    Raises:
        ValueError: if images of one batch differ in size.
    """
    batch: Batch = {}
    taken: set[str] = set()
    for task in tasks.values():
        present = [bool(sample.get(task.labelled_field, sample.get(task.name) is not None)) for sample in samples]
        batch[task.labelled_field] = torch.tensor(present)
        taken |= {task.name, task.labels_field, task.labelled_field}
        if task.kind == "detection":
            batch[task.name], batch[task.labels_field] = _pad_boxes(samples, task)
        else:
            missing = _missing_target(samples, task)
            batch[task.name] = torch.stack(
                [
                    torch.as_tensor(sample[task.name], dtype=missing.dtype) if here else missing
                    for sample, here in zip(samples, present, strict=True)
                ]
            )
    for key in samples[0].keys() - taken:
        batch[key] = _stack(key, [sample[key] for sample in samples])
    return batch


def labelled(batch: Batch, task: Task) -> Tensor:
    """Mask [B] of the samples that carry a label of this task; all of them where the batch does not say.

    Args:
        batch: a batch as `collate` makes it.
        task: the task.
    """
    mask = batch.get(task.labelled_field)
    return mask if mask is not None else torch.ones(len(batch[task.name]), dtype=torch.bool).to(batch[task.name].device)


def box_mask(batch: Batch, task: Task) -> Tensor:
    """Mask [B,M] of the real boxes of labelled samples.

    Args:
        batch: a batch as `collate` makes it.
        task: a detection task.
    """
    return (batch[task.labels_field] >= 0) & labelled(batch, task)[:, None]


def boxes_to_original(boxes: Tensor, to_original: Tensor) -> Tensor:
    """Boxes of the network's input in pixels of the file they came from.

    Args:
        boxes: xyxy px, [B,M,4].
        to_original: scale x, scale y, offset x, offset y of every sample, [B,4].

    Returns:
        xyxy in original pixels, [B,M,4].
    """
    scale, offset = to_original[:, None, :2], to_original[:, None, 2:]
    return boxes * torch.cat((scale, scale), -1) + torch.cat((offset, offset), -1)


def _pad_boxes(samples: Sequence[Sample], task: Task) -> tuple[Tensor, Tensor]:
    counts = [len(sample[task.name]) if sample.get(task.name) is not None else 0 for sample in samples]
    most = -(-max(1, *counts) // BOXES_MULTIPLE) * BOXES_MULTIPLE
    boxes = torch.zeros(len(samples), most, 4)
    labels = torch.full((len(samples), most), PADDING_LABEL)
    for row, (sample, count) in enumerate(zip(samples, counts, strict=True)):
        if count:
            boxes[row, :count] = sample[task.name]
            labels[row, :count] = sample[task.labels_field]
    return boxes, labels


def _missing_target(samples: Sequence[Sample], task: Task) -> Tensor:
    if task.kind == "classification":
        return torch.tensor(IGNORE_INDEX)
    if task.kind == "multilabel":
        return torch.full((task.num_classes,), torch.nan)
    if task.kind == "regression":
        return torch.tensor(torch.nan)
    first = next((torch.as_tensor(sample[task.name]) for sample in samples if sample.get(task.name) is not None), None)
    if first is None:
        raise ValueError(f"no sample of the batch has task {task.name!r} of kind {task.kind!r}: its shape is unknown.")
    return torch.full_like(first, torch.nan if first.is_floating_point() else IGNORE_INDEX)


def _stack(key: str, values: list[Any]) -> Tensor:
    tensors = [torch.as_tensor(value) for value in values]
    if key == "image" and len({tensor.shape for tensor in tensors}) > 1:
        raise ValueError(
            f"images of one batch differ in size: {sorted({tuple(tensor.shape) for tensor in tensors})}. "
            "Set `image_size` of the data module, or end your own transform with a resize to one size."
        )
    # tv_tensors stack to plain tensors, which is what heads expect
    return torch.stack([tensor.as_subclass(Tensor) for tensor in tensors])
