"""Numbers in the cells of tables."""

import math
import re
from collections.abc import Iterable

_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")


def number(cell: str, where: str) -> float | None:
    """A finite number; None for NaN, which tables write where nothing is known.

    Args:
        cell: the cell.
        where: the task or the column, for the message.

    Raises:
        ValueError: for text, and for a number that is not finite.
    """
    try:
        # Python reads 1_2 as 12; a table means a name
        value = float("" if "_" in cell else cell)
    except ValueError as error:
        comma = " Write a decimal point in place of the comma." if _COMMA.fullmatch(cell) else ""
        if _THOUSANDS.fullmatch(cell):  # 1,234 is two numbers, a thousand times apart
            comma = " Leave the comma out if it stands between thousands; if it is a decimal one, write a point."
        raise ValueError(
            f"{where}: {cell!r} is not a number.{comma} Correct the cell, or list it in `missing`."
        ) from error
    if math.isinf(value):
        raise ValueError(f"{where}: {cell!r} is not finite. Correct the cell, or list it in `missing`.")
    return None if math.isnan(value) else value


def by_value(names: Iterable[str]) -> tuple[str, ...]:
    """Names in alphabetical order, each once; numbers by their value, before the others.

    Args:
        names: the names.
    """
    return tuple(sorted(set(names), key=_place))


def _place(name: str) -> tuple[bool, float, str]:
    try:
        value = number(name, name)
    except ValueError:
        value = None
    return value is None, value or 0.0, name
