"""Tasks of several data sets made one list: equal names are one task, and its classes are united by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mtl.batch import Sample
from mtl.errors import did_you_mean
from mtl.targets.target import target_of
from mtl.task import Task

Renames = Mapping[str, Mapping[str, str]]  # part -> its task -> name in the mix


@dataclass(frozen=True)
class Translation:
    """How labels of one task of one part become labels of the mix.

    Args:
        own: the task as the part declares it.
        task: the task of the mix.
        places: index in the mix of every class of the part; None where nothing moves.
    """

    own: Task
    task: Task
    places: Tensor | None

    def __call__(self, sample: Sample) -> Sample:
        """The fields of the task in the mix; empty if the sample has no label.

        Args:
            sample: a sample of the part.
        """
        old, new = target_of(self.own), target_of(self.task)
        if sample.get(self.own.name) is None:
            return {}
        fields = {to: sample[name] for name, to in zip(old.fields, new.fields, strict=True)}
        if self.places is not None:
            fields = new.reindexed(fields, self.places)
        if self.own.labelled_field in sample:
            fields[self.task.labelled_field] = sample[self.own.labelled_field]
        return fields


def unify(
    parts: Mapping[str, Mapping[str, Task]],
    renames: Renames,
    left_out: Mapping[str, Sequence[str]] | None = None,
    unnamed_is_absent: bool = False,
) -> tuple[dict[str, Task], dict[str, list[Translation]]]:
    """The tasks of the mix, and how each part's labels become labels of it.

    Args:
        parts: tasks of every part.
        renames: tasks that have another name in the mix.
        left_out: tasks of a part that the mix does not have.
        unnamed_is_absent: pictures of a part hold no object of classes that this part does not know.

    Raises:
        ValueError: for tasks that cannot be one, saying what to do.
    """
    left_out = left_out or {}
    _check_names("rename", parts, renames)
    _check_names("leave_out", parts, left_out)
    own: dict[str, dict[str, Task]] = {}  # name in the mix -> part -> its task
    for part, tasks in parts.items():
        for name, task in tasks.items():
            if name in left_out.get(part, ()):
                continue
            new = renames.get(part, {}).get(name, name)
            if part in own.setdefault(new, {}):
                raise ValueError(f"part {part!r}: two of its tasks are called {new!r} in the mix; rename one.")
            own[new][part] = task
    united = {name: _united(name, tasks, unnamed_is_absent) for name, tasks in own.items()}
    translations: dict[str, list[Translation]] = {part: [] for part in parts}
    for name, tasks in own.items():
        for part, task in tasks.items():
            names, places = united[name].class_names, None
            if names and task.class_names != names:
                places = torch.tensor([names.index(each) for each in task.class_names])
            translations[part].append(Translation(task, united[name], places))
    return united, translations


def _united(name: str, tasks: Mapping[str, Task], unnamed_is_absent: bool) -> Task:
    first_part, first = next(iter(tasks.items()))
    for part, task in tasks.items():
        if task.kind != first.kind:
            raise ValueError(
                f"task {name!r} is of kind {first.kind!r} in part {first_part!r} and of kind {task.kind!r} in part "
                f"{part!r}. They are two tasks: {_rename_hint(part, task)}"
            )
        if bool(task.class_names) != bool(first.class_names) or (
            not task.class_names and task.num_classes != first.num_classes
        ):
            raise ValueError(
                f"task {name!r} has {first.num_classes} classes {_names(first)} in part {first_part!r} and "
                f"{task.num_classes} {_names(task)} in part {part!r}; classes are united by name. Name them in both, "
                f"or {_rename_hint(part, task)}"
            )
    classes = tuple(dict.fromkeys(each for task in tasks.values() for each in task.class_names))
    target = target_of(first)
    for part, task in tasks.items():
        unnamed = [each for each in classes if each not in task.class_names]
        if unnamed and target.silence_denies and not unnamed_is_absent:
            raise ValueError(
                f"task {name!r}: part {part!r} does not label {', '.join(unnamed)}, so such objects in its pictures "
                f"would count as background. Keep two tasks: {_rename_hint(part, task)} Or set "
                "`unnamed_is_absent: true` if its pictures hold none of them."
            )
    counts = 0 if classes else first.num_classes
    return replace(first, name=name, num_classes=counts, class_names=classes)


def _check_names(setting: str, parts: Mapping[str, Mapping[str, Task]], named: Mapping[str, Iterable[str]]) -> None:
    for part, names in named.items():
        if part not in parts:
            raise ValueError(
                f"{setting}: there is no part {part!r}; parts are {', '.join(parts)}.{did_you_mean(part, parts)}"
            )
        for name in names:
            if name not in parts[part]:
                known = ", ".join(parts[part])
                raise ValueError(
                    f"{setting}: part {part!r} has no task {name!r}; it has {known}.{did_you_mean(name, parts[part])}"
                )


def _rename_hint(part: str, task: Task) -> str:
    return f"`rename: {{{part}: {{{task.name}: {part}_{task.name}}}}}`."


def _names(task: Task) -> str:
    return f"({', '.join(task.class_names)})" if task.class_names else "(without names)"
