"""What annotation formats say alike, each in its own words: the size of a picture, and the label of an object."""

from typing import Any


def declared_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Height and width as a source states them; None where they are no two numbers above 0.

    Args:
        height: a number or its text; None if it is not there.
        width: the same.
    """
    try:
        size = int(float(height)), int(float(width))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def plain_label(label: Any) -> str:
    """The class of an object without blanks around it; empty if the source gives none.

    Args:
        label: text or number; None if it is not there.
    """
    return "" if label is None else str(label).strip()
