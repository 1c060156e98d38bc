"""IOB tags as files have them: checked, and with `B-` wherever a span begins."""

from collections.abc import Iterable, Iterator, Sequence

OUTSIDE = "O"  # the tag of a word of no span


def iob(tags: Sequence[str], where: str) -> Iterator[str]:
    """The tags of one sentence; an `I-` tag that continues nothing begins a span.

    Args:
        tags: one a word.
        where: file and line, for messages.

    Raises:
        ValueError: for what is no tag.
    """
    before = ""
    for tag in tags:
        mark, _, name = tag.partition("-")
        if tag != OUTSIDE and (mark not in ("B", "I") or not name):
            raise ValueError(f"{where} has the tag {tag!r}; expected O, B-NAME or I-NAME.")
        yield f"B-{name}" if mark == "I" and before != name else tag
        before = name


def names_of_tags(slots: Iterable[str]) -> tuple[str, ...]:
    """Names of the classes of a tagging task: outside, and beginning and inside of each slot.

    Args:
        slots: names of the slots.
    """
    return (OUTSIDE, *(f"{mark}-{slot}" for slot in slots for mark in "BI"))
