"""Rows of a head that belong to classes: taken from another head by the names of its classes.

Shapes: C classes here, D classes there.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

_log = logging.getLogger(__name__)
_LISTED = 4  # names in a message


def rows_of_heads(
    model: nn.Module,
    ours: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    classes: Mapping[str, Sequence[str]],
) -> dict[str, Tensor]:
    """Tensors of heads whose classes have other names or another order there, matched by name.

    Args:
        model: the model, with its `heads`.
        ours: its tensors by name, those that are to be taken.
        theirs: tensors there.
        classes: class names there, by task.
    """
    found: dict[str, Tensor] = {}
    heads: dict[str, nn.Module] = dict(getattr(model, "heads", nn.ModuleDict()).items())
    for task, head in heads.items():
        own, other = list(getattr(getattr(head, "task", None), "class_names", ())), list(classes.get(task, ()))
        tensors = {name: ours[name] for name in ours if name.startswith(f"heads.{task}.") and name in theirs}
        if not own or not other or own == other or not tensors:
            continue
        squares = {f"heads.{task}.{name}" for name in getattr(head, "class_by_class", ())}
        if not can_be_matched({name: value for name, value in tensors.items() if name not in squares}, own):
            _log.warning(
                "init_from: head %r has a layer as wide as its classes, so its rows are taken by number, not by name.",
                task,
            )
            continue
        if not set(own) & set(other):
            _log.warning(
                "init_from: head %r has no class of the same name there (%s).", task, ", ".join(other[:_LISTED])
            )
        for name, value in tensors.items():
            match = square_by_name if name in squares else rows_by_name
            if (rows := match(value, theirs[name], own, other)) is not None:
                found[name] = rows
    return found


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


def square_by_name(ours_CC: Tensor, theirs_DD: Tensor, own: Sequence[str], other: Sequence[str]) -> Tensor | None:
    """A matrix of classes by classes with the entries of classes that both heads have; the others stay as they are.

    Args:
        ours_CC: the matrix here, [C,C].
        theirs_DD: the matrix there, [D,D].
        own: names of the classes here, C.
        other: names of the classes there, D.

    Returns:
        The matrix; None if a matrix has another shape.
    """
    if ours_CC.shape != (len(own),) * 2 or theirs_DD.shape != (len(other),) * 2:
        return None
    here = [row for row, name in enumerate(own) if name in other]
    there = [other.index(own[row]) for row in here]
    taken_CC = ours_CC.clone()
    for row, from_row in zip(here, there, strict=True):
        taken_CC[row, here] = theirs_DD[from_row, there].to(taken_CC.dtype)
    return taken_CC


def can_be_matched(tensors: Mapping[str, Tensor], own: Sequence[str]) -> bool:
    """Whether it is clear which rows are classes: no layer takes as many inputs as it has classes.

    Args:
        tensors: of the head here.
        own: names of its classes, C.
    """
    sizes = (len(own), len(own) + 1)
    return not any(value.ndim > 1 and value.shape[0] in sizes and value.shape[1] in sizes for value in tensors.values())
