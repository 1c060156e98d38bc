"""`SklearnTable`: a small public table that comes with scikit-learn and needs no download.

Sources: wine: Aeberhard and Forina, UCI 1992, 178 wines from three cultivars; breast_cancer: Wolberg et al., UCI 1995,
569 cell samples; iris: Fisher 1936; diabetes: Efron et al., "Least angle regression", 2004, 442 patients.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mtl.data.csv_rows import Rows
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.table.module import TableDataModule
from mtl.errors import did_you_mean
from mtl.task import Inputs

Name = Literal["wine", "breast_cancer", "iris", "diabetes"]


class SklearnTable(TableDataModule):
    """A table of scikit-learn: its columns with `_` for blanks, and `target` (the class's name, or a number).

    Args:
        dataset: which one.
        column_tasks: tasks by name; each says what its column means.
        numeric: input columns; by default all that no task reads.
        **kwargs: arguments of `TableDataModule`.
    """

    def __init__(
        self, dataset: Name, column_tasks: dict[str, ImageLabels], numeric: list[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(column_tasks, numeric or self._others(dataset, column_tasks), **kwargs)
        self.dataset = dataset

    @classmethod
    def declare_inputs(
        cls,
        *,
        dataset: Name = "wine",
        column_tasks: Mapping[str, Any] | None = None,
        numeric: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Inputs:
        return super().declare_inputs(numeric=numeric or cls._others(dataset, column_tasks or {}), **kwargs)

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        tasks = {"kind": {"column": "target", "classes": ["setosa", "versicolor", "virginica"]}}
        return {"dataset": "iris", "column_tasks": tasks, "fractions": [0.6, 0.2, 0.2], "stratify": "target"}

    def read(self, required: Sequence[str]) -> Rows:
        bunch, columns = _load(self.dataset), _columns(self.dataset)
        for column in required:
            if column not in (*columns, "target"):
                raise ValueError(
                    f"scikit-learn's {self.dataset} has no column {column!r}; it has {', '.join(columns)} and target."
                    f"{did_you_mean(column, columns)}"
                )
        names = getattr(bunch, "target_names", None)
        targets = [str(value if names is None else names[int(value)]) for value in bunch.target]
        rows = [
            dict(zip((*columns, "target"), (*map(repr, values.tolist()), target), strict=True))
            for values, target in zip(bunch.data, targets, strict=True)
        ]
        return Rows(f"scikit-learn's {self.dataset}", (*columns, "target"), rows, list(range(1, len(rows) + 1)))

    @staticmethod
    def _others(dataset: Name, column_tasks: Mapping[str, Any]) -> list[str]:
        read = {c for name, spec in column_tasks.items() for c in ImageLabels.of(spec).read_columns(name)}
        return [column for column in _columns(dataset) if column not in read]


def _load(dataset: Name) -> Any:
    return getattr(importlib.import_module("sklearn.datasets"), f"load_{dataset}")()


def _columns(dataset: Name) -> list[str]:
    return [name.replace(" ", "_") for name in _load(dataset).feature_names]
