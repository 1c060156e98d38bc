"""What the program beside an exported file is told of the data."""

from pathlib import Path
from typing import Any

from mtl.data.sets.digit_scenes import DigitScenes
from mtl.data.table.csv_table import CsvTable
from mtl.evaluation.exported import missing_cells


def test_the_cells_that_mean_nothing_is_known_go_with_the_file(tmp_path: Path) -> None:
    settings = CsvTable.example_args(tmp_path)
    told: dict[str, Any] = {"missing": ["", "-"], "missing_in": {"age": ["-9"]}}
    assert missing_cells(CsvTable(**settings, **told)) == told
    assert missing_cells(DigitScenes()) == {}
