"""Rows of a head that belong to classes: taken from another head by the names of its classes.

Shapes: C classes here, D classes there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def class_names_of(state: Mapping[str, Any]) -> dict[str, list[str]]:
    """The class names of every task of a checkpoint; nothing for a task whose classes have no names.

    Args:
        state: content of a checkpoint.
    """
    settings = state.get("hyper_parameters")
    tasks = settings.get("tasks") if isinstance(settings, Mapping) else None
    found = {}
    for name, task in tasks.items() if isinstance(tasks, Mapping) else ():
        names = task.get("class_names") if isinstance(task, Mapping) else None
        if isinstance(names, list | tuple) and names:
            found[str(name)] = [str(one) for one in names]
    return found


def rows_by_name(ours: Tensor, theirs: Tensor, own: Sequence[str], other: Sequence[str]) -> Tensor | None:
    """A tensor of a head with the rows of classes that both heads have; the other rows stay as they are.

    Args:
        ours: the tensor here; its first dimension has C rows, or C + 1 with one for "no object" at the end.
        theirs: the tensor there, likewise with D.
        own: names of the classes here, C.
        other: names of the classes there, D.

    Returns:
        The tensor; None if its rows are no classes.
    """
    if ours.ndim == 0 or ours.ndim != theirs.ndim or ours.shape[1:] != theirs.shape[1:]:
        return None
    for more in (0, 1):
        if ours.shape[0] == len(own) + more and theirs.shape[0] == len(other) + more:
            taken = ours.clone()
            for row, name in enumerate(own):
                if name in other:
                    taken[row] = theirs[other.index(name)].to(taken.dtype)
            if more:
                taken[-1] = theirs[-1].to(taken.dtype)
            return taken
    return None


def can_be_matched(tensors: Mapping[str, Tensor], own: Sequence[str]) -> bool:
    """Whether it is clear which rows are classes: no layer takes as many inputs as it has classes.

    Args:
        tensors: of the head here.
        own: names of its classes, C.
    """
    sizes = (len(own), len(own) + 1)
    return not any(value.ndim > 1 and value.shape[0] in sizes and value.shape[1] in sizes for value in tensors.values())
