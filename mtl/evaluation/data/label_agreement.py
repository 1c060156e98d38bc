"""Samples whose labels of two tasks disagree where they nearly always agree: a white cell's class without a white cell.

A rule is found in the data: where a picture has a label (of any class, or of one), it has an object of a class, in at
least 95 % of at least 20 pictures; and where it has the object, it has a label. The exceptions are reported.
"""

from collections.abc import Iterator, Mapping, Sequence

from mtl.evaluation.data.data_findings import Finding, Place
from mtl.targets.target import target_of
from mtl.task import Task

Shown = Mapping[str, frozenset[str] | None]  # classes that a sample shows, by task; None: not labelled
_SHARE, _FEWEST = 0.95, 20


def disagreements(
    samples: Mapping[Place, Shown], tasks: Mapping[str, Task], names: Mapping[Place, str]
) -> Iterator[Finding]:
    """The exceptions to every rule; a sample is reported once for each class of object.

    Args:
        samples: what every sample shows.
        tasks: the tasks, by name.
        names: of the samples.
    """
    judged = {name: target_of(task) for name, task in tasks.items()}
    objects = [tasks[name] for name, target in judged.items() if target.silence_denies and target.judged_as == "boxes"]
    others = [tasks[name] for name, target in judged.items() if target.judged_as == "classes"]
    told: set[tuple[Place, str]] = set()
    for task in objects:
        annotated = {place: shown for place, shown in samples.items() if shown[task.name] is not None}
        for name in _classes(task):
            there = {place for place, shown in annotated.items() if name in (shown[task.name] or ())}
            for premise, places, parts in _premises(annotated, others):
                # a class of which most have no such object has no part in the rule
                apart = {p for part in parts if 2 * len(there & set(part)) <= len(part) for p in part}
                for place in _exceptions([p for p in places if p not in apart], there):
                    if (place, name) not in told:
                        told.add((place, name))
                        text = f"{names[place]}: no {name}, which {premise} nearly always have"
                        yield Finding("warning", "disagrees", text, (place,))
            for other in others:
                labelled = {place for place in there if samples[place][other.name] is not None}
                for place in _exceptions(sorted(there), labelled):
                    text = f"{names[place]}: has {name}, and no label of {other.name!r}, unlike nearly all others"
                    yield Finding("warning", "disagrees", text, (place,))


def _premises(
    samples: Mapping[Place, Shown], others: Sequence[Task]
) -> Iterator[tuple[str, list[Place], list[list[Place]]]]:
    """Words, the pictures that they describe, and these pictures by their class."""
    for other in others:
        labelled = [place for place, shown in samples.items() if shown[other.name] is not None]
        parts = {name: [p for p in labelled if name in (samples[p][other.name] or ())] for name in _classes(other)}
        for name, part in parts.items():
            yield f"pictures of {other.name} {name}", part, []
        yield f"pictures with a label of {other.name!r}", labelled, [part for part in parts.values() if part]


def _classes(task: Task) -> list[str]:
    return [task.class_name(index) for index in range(task.num_classes)]


def _exceptions(places: Sequence[Place], right: set[Place]) -> list[Place]:
    """The places that are not right, if nearly all are."""
    wrong = [place for place in places if place not in right]
    return wrong if len(places) >= _FEWEST and 0 < len(wrong) <= (1 - _SHARE) * len(places) else []
