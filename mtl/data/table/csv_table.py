"""`CsvTable`: a data set that is one CSV file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.config.paths import expanded
from mtl.data.csv_rows import Rows, read_csv
from mtl.data.folder.class_names import lacks_names, with_classes
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.sources.fetch import how_to_fetch
from mtl.data.table.module import TableDataModule
from mtl.task import Task


class CsvTable(TableDataModule):
    """The rows of a CSV file with a header.

    Args:
        path: the file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means. Classes that are left out are the cells of the
            column.
        **kwargs: arguments of `TableDataModule`.
    """

    def __init__(self, path: str, column_tasks: dict[str, ImageLabels], **kwargs: Any) -> None:
        super().__init__(named(column_tasks, path), **kwargs)
        self.path = Path(expanded(path))

    @classmethod
    def declare_tasks(
        cls, *, column_tasks: Mapping[str, Any] | None = None, path: str | None = None, **init_args: Any
    ) -> dict[str, Task]:
        known = column_tasks if path is None else named(column_tasks, path)
        return super().declare_tasks(column_tasks=known, **init_args)

    @classmethod
    def read_arguments(
        cls, path: str = "", column_tasks: Mapping[str, Any] | None = None, **init_args: Any
    ) -> dict[str, Any]:
        known = with_classes(column_tasks, [Path(expanded(path))])
        return {} if known is column_tasks else {"column_tasks": known}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        splits = ("train", "train", "train", "val", "test")
        rows = [f"{20 + i},{'fm'[i % 2]},{i % 3},{i / 2},{splits[i % 5]}" for i in range(20)]
        rows += ["NA,,,,train", "61,x,,,test"]
        (folder / "table.csv").write_text("\n".join(["age,sex,grade,dose,split", *rows]) + "\n", encoding="utf-8")
        return {
            "path": str(folder / "table.csv"),
            "column_tasks": {"grade": {"classes": ["0", "1", "2"]}, "dose": {"kind": "regression"}},
            "numeric": ["age"],
            "categorical": {"sex": ["f", "m"]},
            "split_column": "split",
        }

    def read(self, required: Sequence[str]) -> Rows:
        check_table(self.path)
        return read_csv(self.path, required, "Correct the name, or remove the column from the arguments of the data.")


def check_table(path: Path) -> None:
    """Refuse a table that is not there.

    Args:
        path: the file.

    Raises:
        ValueError: saying what to set.
    """
    if not path.is_file():
        raise ValueError(
            f"table {str(path)!r} is not a file (working directory {str(Path.cwd())!r}). Set data.init_args.path to "
            f"the CSV, or put the data there.{how_to_fetch(path)}"
        )


def named(column_tasks: Mapping[str, Any] | None, path: str) -> dict[str, Any]:
    """Tasks with the classes that their columns hold, where these are left out.

    Args:
        column_tasks: the tasks, or their settings, by name.
        path: the file.

    Raises:
        ValueError: if the file is needed and not there.
    """
    if any(lacks_names(ImageLabels.of(spec)) for spec in (column_tasks or {}).values()):
        check_table(Path(expanded(path)))
    return dict(with_classes(column_tasks, [Path(expanded(path))]) or {})
