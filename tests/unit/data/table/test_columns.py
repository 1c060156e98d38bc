"""Columns of a table as numbers: layout, missing cells, unknown categories, errors with file and line."""

import numpy as np
import pytest

from mtl.data.csv_rows import Rows
from mtl.data.table.columns import Columns


def rows(**columns: list[str]) -> Rows:
    names = tuple(columns)
    cells = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Rows("'t.csv'", names, cells, list(range(2, 2 + len(cells))))


def test_a_row_is_numbers_flags_of_categories_and_flags_of_what_is_missing() -> None:
    columns = Columns(("age",), {"sex": ["f", "m"]})
    assert columns.names == ("age", "age missing", "sex=f", "sex=m", "sex missing")
    values, unknown = columns.encode(rows(age=["63", " 4.5 ", ""], sex=["m", "", "f"]))
    expected = [[63, 0, 0, 1, 0], [4.5, 0, 0, 0, 1], [np.nan, 1, 1, 0, 0]]
    np.testing.assert_array_equal(values, np.array(expected, np.float32))
    assert unknown == {}


def test_marks_of_one_column_mean_missing_there_alone_however_a_number_is_written() -> None:
    columns = Columns(("chol", "age"), missing_in={"chol": ["0", "-9"]})
    values, _ = columns.encode(rows(chol=["0.0", "-9", "200"], age=["0", "-9", "1"]))
    assert np.isnan(values[:, 0]).tolist() == [True, True, False]
    assert values[:, 2].tolist() == [0, -9, 1]


def test_a_category_called_as_a_mark_is_a_category() -> None:
    values, unknown = Columns((), {"region": ["EU", "NA"]}).encode(rows(region=["NA", "nan"]))
    assert values.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert unknown == {}


def test_a_category_that_is_also_listed_as_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="'f' is a category of column 'sex' and one of its cells in `missing_in`"):
        Columns((), {"sex": ["f", "m"]}, missing_in={"sex": ["?", "f"]})


@pytest.mark.parametrize(("cell", "hint"), [("3,5", "Write a decimal point"), ("1_000", "Correct the cell")])
def test_cells_that_are_no_numbers_are_refused(cell: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"'t.csv', line 2, column 'age': '{cell}' is not a number.*{hint}"):
        Columns(("age",)).encode(rows(age=[cell]))


def test_unknown_categories_count_as_missing_and_are_counted() -> None:
    values, unknown = Columns((), {"sex": ["f", "m"]}).encode(rows(sex=["x", "x", "f"]))
    assert values.tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert unknown == {("sex", "x"): 2}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("old", "'t.csv', line 2, column 'age': 'old' is not a number.*list it in `missing`"),
        ("inf", "line 2, column 'age': 'inf' is not finite"),
        ("1e39", "line 2, column 'age': '1e39' is too large for 32 bits"),
    ],
)
def test_a_cell_that_is_no_usable_number_is_an_error(cell: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Columns(("age",)).encode(rows(age=[cell]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "needs input columns"),
        ((("age", "age"),), "'age' stands twice"),
        ((("sex",), {"sex": ["f"]}), "'sex' stands twice"),
        (((), {"sex": []}), "needs categories"),
        (((), {"sex": ["f", "f"]}), "needs categories, each once"),
        ((("age",), {}, (), {"aeg": ["0"]}), "'aeg', which is no input. Did you mean 'age'"),
    ],
)
def test_rejects_columns_that_mean_nothing(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Columns(*arguments)  # type: ignore[arg-type]
