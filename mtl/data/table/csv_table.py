"""`CsvTable`: a data set that is one CSV file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtl.data.csv_rows import Rows, read_csv
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.table.module import TableDataModule


class CsvTable(TableDataModule):
    """The rows of a CSV file with a header.

    Args:
        path: the file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means.
        **kwargs: arguments of `TableDataModule`.
    """

    def __init__(self, path: str, column_tasks: dict[str, ImageLabels], **kwargs: Any) -> None:
        super().__init__(column_tasks, **kwargs)
        self.path = Path(path)

    def read(self, required: Sequence[str]) -> Rows:
        if not self.path.is_file():
            raise ValueError(
                f"table {str(self.path)!r} is not a file (working directory {str(Path.cwd())!r}). "
                "Set data.init_args.path to the CSV, or put the data there."
            )
        return read_csv(self.path, required, "Correct the name, or remove the column from the arguments of the data.")
