"""`predict_table`: every row keeps its place; one that cannot be read says why, and the others have their answers."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.backbones.table.mlp import TableMLP
from mtl.data.table.csv_table import CsvTable
from mtl.evaluation.predictions.predict_table import predict_table
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel

TEXT = "who,age,sex,ill,part\na,60,f,no,train\nb,40,m,yes,train\n"
NEW = "who,age,sex\na,60,f\nb,sixty,f\nc,,m\nd,1e39,\ne,40,x\n"


def run_of(folder: Path, **settings: Any) -> tuple[MultiTaskModel, CsvTable]:
    (folder / "t.csv").write_text(TEXT)
    tasks: Any = {"ill": {"classes": ["no", "yes"]}}
    columns = {"numeric": ["age"], "categorical": {"sex": ["f", "m"]}, "split_column": "part"}
    data = CsvTable(str(folder / "t.csv"), tasks, **columns, **settings)
    torch.manual_seed(0)
    backbone = TableMLP(data.inputs, widths=(8,))
    heads = {"ill": ClassificationHead(data.tasks["ill"], backbone.spec)}
    return MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in data.inputs.items()}), data


def predicted(folder: Path, text: str, **settings: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    (folder / "new.csv").write_text(text)
    found = predict_table(*run_of(folder, **settings), folder / "new.csv", folder / "out.csv", batch_size=2)
    with (folder / "out.csv").open(newline="") as file:
        return found, list(csv.DictReader(file))


def test_a_row_that_cannot_be_read_stays_without_a_prediction_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, rows = predicted(tmp_path, NEW)
    assert (found["rows"], found["skipped"], list(found["skipped_rows"])) == (3, 2, [3, 5])
    assert [row["who"] for row in rows] == list("abcde")
    assert [bool(row["predicted_ill"]) for row in rows] == [True, False, True, False, True]
    assert [bool(row["predicted_ill_score"]) for row in rows] == [True, False, True, False, True]
    reasons = [row["skipped"] for row in rows]
    assert reasons[1] == "column 'age': 'sixty' is not a number"
    assert reasons[3].startswith("column 'age': '1e39' is too large")
    assert [reasons[i] for i in (0, 2, 4)] == ["", "", ""]
    shown = capsys.readouterr().out
    assert "skipped 2 rows:\n  line 3: column 'age': 'sixty' is not a number\n  line 5: column 'age'" in shown


def test_the_other_rows_have_the_answers_of_a_file_without_the_bad_ones(tmp_path: Path) -> None:
    _, mixed = predicted(tmp_path, NEW)
    _, clean = predicted(tmp_path, "who,age,sex\na,60,f\nc,,m\ne,40,x\n")
    assert [row for row in mixed if not row["skipped"]] == clean


def test_an_unknown_category_is_a_reason_where_the_run_says_error(tmp_path: Path) -> None:
    found, rows = predicted(tmp_path, NEW, on_unknown_category="error")
    assert found["skipped_rows"][6] == rows[4]["skipped"] == "column 'sex': 'x' is not one of the categories f, m"
    _, both = predicted(tmp_path, "who,age,sex\na,old,x\nb,1,f\n", on_unknown_category="error")
    assert both[0]["skipped"].split("; ")[1] == rows[4]["skipped"]


def test_a_row_of_another_number_of_cells_is_skipped_alone(tmp_path: Path) -> None:
    _, rows = predicted(tmp_path, "who,age,sex\na,60,f\nb\nc,x,f,1\nd,50,m,\n")
    assert [row["skipped"] for row in rows] == [
        "", "the row has 1 cells, the header 3", "the row has 4 cells, the header 3", ""
    ]  # fmt: skip
    assert (rows[1]["sex"], rows[1]["predicted_ill"], bool(rows[3]["predicted_ill"])) == ("", "", True)


def test_a_file_that_was_predicted_and_corrected_keeps_no_earlier_reason(tmp_path: Path) -> None:
    predicted(tmp_path, NEW)
    text = (tmp_path / "out.csv").read_text()
    _, rows = predicted(tmp_path, text.replace("sixty", "60").replace("1e39", "bad"))
    assert (rows[1]["skipped"], bool(rows[1]["predicted_ill"])) == ("", True)
    assert (rows[3]["skipped"], rows[3]["predicted_ill"]) == ("column 'age': 'bad' is not a number", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who,age,sex\na,old,f\nb,1_0,m\n", "none of 2 rows of .* the first: line 2: column 'age': 'old' is not a"),
        ("who,age\na,60\n", "has no column 'sex'"),
        ("who;age;sex,\na;60;f,\n", "has no column 'age'.*Its separator is not a comma"),
        ("a,60,f\nb,40,m\n", "has no column 'age'"),
        ("who,age,sex\n", "has no row below its header"),
        ("", "has no column 'age'; it is empty"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predicted(tmp_path, text)
