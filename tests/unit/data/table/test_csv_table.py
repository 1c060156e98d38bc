"""`CsvTable`: samples, labels, splits, and the errors a user's file can cause."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.data.table.csv_table import CsvTable

TASKS: dict[str, Any] = {"ill": {"classes": ["no", "yes"], "cells": ["0", "1"]}, "dose": {"kind": "regression"}}
TEXT = """\
age,sex,ill,dose,part,who
60,f,1,2.5,train,a
40,m,0,,train,b
50,,,1.5,val,c
70,f,1,0.5,test,d
"""


def table(folder: Path, text: str = TEXT, **settings: Any) -> CsvTable:
    (folder / "t.csv").write_text(text)
    defaults: dict[str, Any] = {"numeric": ["age"], "categorical": {"sex": ["f", "m"]}, "split_column": "part"}
    return CsvTable(str(folder / "t.csv"), TASKS, **{**defaults, **settings})


def test_samples_have_the_row_and_the_labels_that_are_known(tmp_path: Path) -> None:
    data = table(tmp_path)
    data.setup("fit")
    assert [len(data.train_set), len(data.val_set)] == [2, 1]  # type: ignore[arg-type]
    first, second = data.train_set[0], data.train_set[1]
    assert first["row"].tolist() == [60, 0, 1, 0, 0]
    assert (int(first["ill"]), float(first["dose"])) == (1, 2.5)
    assert (int(second["ill"]), "dose" in second) == (0, False)
    assert set(data.val_set[0]) == {"row", "dose"}
    assert data.tasks["ill"].class_names == ("no", "yes")
    assert data.inputs["row"].names == ("age", "age missing", "sex=f", "sex=m", "sex missing")
    assert CsvTable.declare_inputs(numeric=["age"], categorical={"sex": ["f", "m"]}) == data.inputs
    counts = data.count_labels("train", data.tasks)
    assert {name: (count.labelled, count.of) for name, count in counts.items()} == {"ill": (2, 2), "dose": (1, 2)}


def test_a_batch_has_nan_where_a_number_is_missing(tmp_path: Path) -> None:
    data = table(tmp_path, TEXT.replace("40,m", ",m"), batch_size=2)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    missing = batch["row"][:, 1] == 1
    assert batch["row"][:, 0].isnan().tolist() == missing.tolist()
    assert int(missing.sum()) == 1


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "has no column 'age'; it is empty"),
        ("age,sex,ill,dose,part\n", {}, "has no row below its header"),
        (TEXT.replace("age,sex", "age,age"), {}, "two columns called 'age'"),
        (TEXT.replace("age,", "years,"), {}, "no column 'age'; it has years, sex.*remove the column"),
        (TEXT.replace(",", ";").replace(";", ",", 1), {}, "no column 'sex'.*Its separator is not a comma"),
        (TEXT.replace("60", "sixty"), {}, "line 2, column 'age': 'sixty' is not a number"),
        (TEXT.replace("40,m", "40,male"), {}, "1 cells of split 'train'.*'male' in column 'sex'.*f, m"),
        (TEXT.replace("60,f,1", "60,f,2"), {}, "line 2: task 'ill' has a label '2' .* `cells` 0, 1"),
        (TEXT.replace("a\n", "a,b\n", 1), {}, "line 2: the row has 7 cells, the header 6"),
        (TEXT.replace("train", "tran"), {}, "line 2: column 'part' .split_column. has 'tran'"),
        (TEXT.replace("c\n", "a\n"), {"group": "who"}, "group 'a' of column 'who' is in split 'train'"),
    ],
)
def test_a_faulty_file_is_an_error_that_names_the_place(
    tmp_path: Path, text: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text, **settings).setup("fit")


def test_a_missing_file_and_a_missing_split_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a file .*Set data.init_args.path"):
        CsvTable(str(tmp_path / "no.csv"), TASKS, numeric=["age"], split_column="part").setup("fit")
    data = table(tmp_path, TEXT.replace("test", ""))
    with pytest.raises(ValueError, match="no split 'test'.*it has train, val"):
        data.setup("test")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"numeric": ["age", "ill"]}, "column 'ill' is an input and the label of task 'ill'"),
        ({"split_column": None}, "needs its splits"),
        ({"fractions": [0.5, 0.5]}, "needs its splits.*one of them"),
        ({"stratify": "ill"}, "stratify has no effect"),
    ],
)
def test_rejects_settings_that_contradict_each_other(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path, **settings)


def test_an_unknown_category_outside_of_training_counts_as_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = table(tmp_path, TEXT.replace("70,f", "70,x"))
    data.setup("test")
    assert data.test_set[0]["row"].tolist() == [70, 0, 0, 0, 1]
    assert "1 cells of split 'test' are none of the categories, the first 'x'" in caplog.text
    with pytest.raises(ValueError, match="split 'test'"):
        table(tmp_path, TEXT.replace("70,f", "70,x"), on_unknown_category="error").setup("test")
    lenient = table(tmp_path, TEXT.replace("40,m", "40,x"), on_unknown_category="missing")
    lenient.setup("fit")
    assert lenient.train_set[1]["row"].tolist() == [40, 0, 0, 0, 1]


def test_a_drawn_split_keeps_groups_and_strata(tmp_path: Path) -> None:
    lines = [f"{i},f,{i % 2},{i},,g{i // 4}" for i in range(80)]
    text = "\n".join([TEXT.splitlines()[0], *lines]) + "\n"
    settings: dict[str, Any] = {"split_column": None, "fractions": [0.5, 0.25, 0.25], "stratify": "ill", "group": "who"}
    data = table(tmp_path, text, **settings)
    data.setup("fit")
    ages = [int(data.train_set[i]["row"][0]) for i in range(len(data.train_set))]  # type: ignore[arg-type]
    assert len(ages) == 40
    assert all(4 * (age // 4) + k in ages for age in ages for k in range(4))


def test_the_input_learns_from_the_training_rows_alone(tmp_path: Path) -> None:
    from mtl.inputs.table import TableInput

    data = table(tmp_path)
    data.trainer = Trainer(accelerator="cpu", logger=False)
    data.setup("fit")
    prepare = TableInput(data.inputs["row"])
    data.adapt({"row": prepare})
    torch.testing.assert_close(prepare.mean, torch.tensor([50.0, 0, 0, 0, 0]))
    torch.testing.assert_close(prepare.scale, torch.tensor([0.1, 0, 1, 1, 0]))


def test_classes_that_are_left_out_are_the_cells_of_the_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("age,grade,split\n1,10,train\n2,9,val\n3,,test\n4,low,test\n", encoding="utf-8")
    arguments: dict[str, Any] = {"path": str(tmp_path / "t.csv"), "column_tasks": {"grade": {}}, "numeric": ["age"]}
    data = CsvTable(**arguments, split_column="split")
    assert data.tasks["grade"].class_names == ("9", "10", "low")
    assert CsvTable.declare_tasks(**arguments) == data.tasks
    # the run's config records them
    assert CsvTable.read_arguments(**arguments)["column_tasks"]["grade"]["classes"] == ["9", "10", "low"]
    arguments["column_tasks"] = {"grade": {"classes": ["9"]}}
    assert CsvTable.read_arguments(**arguments) == {}
    with pytest.raises(ValueError, match=r"table 'no\.csv' is not a file"):
        CsvTable.declare_tasks(path="no.csv", column_tasks={"grade": {}})


def test_classes_are_read_from_labelled_rows_and_numbers_go_by_value(tmp_path: Path) -> None:
    rows = ["age,grade,site", "1,1,a", "2,-1,a", "3,0.5,a", "4,junk,b", "5,x,a", "6,NONE,a"]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    tasks = {"grade": {"only_where": {"site": ["a"]}}}
    assert CsvTable.declare_tasks(path=str(tmp_path / "t.csv"), column_tasks=tasks)["grade"].class_names == (
        *("-1", "0.5", "1"),
        "x",
    )


@pytest.mark.parametrize(
    ("cell", "task", "message"),
    [
        ("NA", {}, "column 'grade' .* has 'NA', which may be a class of task 'grade' or mean that nothing is known"),
        ("a", {"kind": "segmentation"}, "is of kind 'segmentation', which no cell of a table can hold"),
        ("a", {"kind": "detection", "classes": ["a"]}, "is of kind 'detection', which no cell of a table can hold"),
    ],
)
def test_columns_that_name_no_classes_are_refused(
    cell: str, task: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(f"age,grade\n1,{cell}\n2,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        CsvTable.declare_tasks(path=str(tmp_path / "t.csv"), column_tasks={"grade": task})
