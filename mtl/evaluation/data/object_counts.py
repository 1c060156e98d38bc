"""What numbers of objects in a picture say: labels that stop at a number, and pictures with an unusual number.

COCO's labellers drew about a dozen objects of a class and one box around the rest. Boxes alone do not show such a
crowd, but no picture has more objects of a class than that, and unusually many have exactly as many.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from mtl.evaluation.data.data_findings import Finding, Place
from mtl.evaluation.data.label_agreement import Shown
from mtl.targets.target import target_of
from mtl.task import Task

Objects = Mapping[str, Counter[str]]  # of a sample: objects of each class, by task
_LEAST_CAP, _FEWEST_AT_CAP = 8, 5
_PILE = 2.0  # times as many pictures as at the two numbers below
_SHARE, _FEWEST = 0.95, 20
_LISTED = 5  # pictures in a message


def of_numbers(
    objects: Mapping[Place, Objects],
    shown: Mapping[Place, Shown],
    tasks: Mapping[str, Task],
    names: Mapping[Place, str],
) -> Iterator[Finding]:
    """Findings about numbers of objects.

    Args:
        objects: of every sample; a task without a label is left out.
        shown: the classes that every sample shows.
        tasks: the tasks, by name.
        names: of the samples.
    """
    judged = {name: target_of(task).judged_as for name, task in tasks.items()}
    for name in (name for name, as_what in judged.items() if as_what == "boxes"):
        counted = {place: found[name] for place, found in objects.items() if name in found}
        yield from _capped(name, counted, names)
        for other in (other for other, as_what in judged.items() if as_what == "classes"):
            labelled = [place for place in counted if shown[place][other] is not None]
            yield from _unusual(tasks[name], {place: counted[place] for place in labelled}, other, names)


def _capped(task: str, counted: Mapping[Place, Counter[str]], names: Mapping[Place, str]) -> Iterator[Finding]:
    pairs = [(number, place) for place, classes in counted.items() for number in classes.values()]
    pictures = Counter(number for number, _ in pairs)
    cap = max(pictures, default=0)
    below = max(pictures[cap - 1], pictures[cap - 2])
    # where most pictures have as many, that is how many there are
    usual = 2 * pictures[cap] > len(pairs)
    if cap < _LEAST_CAP or pictures[cap] < max(_FEWEST_AT_CAP, _PILE * below) or usual:
        return
    places = tuple(sorted({place for number, place in pairs if number == cap}))
    text = f"no picture has more than {cap} objects of a class, and {len(places)} have exactly {cap}, against {below}"
    listed = ", ".join(names[place] for place in places[:_LISTED]) + (", ..." if len(places) > _LISTED else "")
    yield Finding(
        "warning",
        "capped",
        f"task {task!r}: {text} with one or two fewer: labels seem to stop there, the rest unlabelled or in one box "
        f"({listed})",
        places,
    )


def _unusual(
    task: Task, counted: Mapping[Place, Counter[str]], other: str, names: Mapping[Place, str]
) -> Iterator[Finding]:
    if len(counted) < _FEWEST:
        return
    for index in range(task.num_classes):
        name = task.class_name(index)
        number, agreeing = Counter(classes[name] for classes in counted.values()).most_common(1)[0]
        if not number or not _SHARE * len(counted) <= agreeing < len(counted):
            continue
        for place, classes in counted.items():
            if classes[name] not in (0, number):  # without any it disagrees with the label, which is said elsewhere
                text = (
                    f"{names[place]}: {classes[name]} {name}, where {agreeing / len(counted):.0%} of the pictures with "
                )
                yield Finding("note", "odd_number", f"{text}a label of {other!r} have {number}", (place,))
