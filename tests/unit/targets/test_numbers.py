"""Numbers in cells, and what is said of those that are none."""

import pytest

from mtl.targets.numbers import number


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("0,5", "Write a decimal point in place of the comma"),
        ("-12,34", "Write a decimal point in place of the comma"),
        # a point in its place would be a thousandth of what was meant
        ("1,234", "Leave the comma out if it stands between thousands; if it is a decimal one, write a point"),
        ("-1,234,567", "Leave the comma out"),
    ],
)
def test_commas_have_a_hint_that_does_not_change_the_number(cell: str, hint: str) -> None:
    with pytest.raises(ValueError, match=rf"task 'dose': '{cell}' is not a number\. {hint}"):
        number(cell, "task 'dose'")


def test_numbers() -> None:
    assert [number(cell, "a") for cell in ("1.5", "-2e3", "nan")] == [1.5, -2000.0, None]
