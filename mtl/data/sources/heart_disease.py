"""Heart disease (UCI): patients of four hospitals with 13 features and a diagnosis."""

import csv
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, write_rows, write_splits

_COMMIT = ("hiteshwarsingh1/HeartDisease-Prediction", "b791ec9e8730124a4f3e68d903935cd7d38dcf60")
_DIGESTS = {
    "cleveland": "a8a74af09afc967d70c5564d46f2211aedddb00e0498ff1ebf91b0de03b729aa",
    "hungarian": "753e06f36272bcd2b7d8366f3414682e7b5c1d731c4a7957d1a4da67c822633b",
    "switzerland": "eff77adf92b1cb7c01de5e4a8051734b8d368463d16ce591ca51fca79191f6e2",
    "va": "3b4d4e3eb2d460196afcf21778b62e63dde0986fcfdb52004fce2620cc8e7f58",
}
_COLUMNS = (
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
    "num",
)
_MISSING = -9.0


class HeartDisease(Source):
    """920 patients of four hospitals: 13 features, the degree of heart disease (0 to 4) and whether there is any.

    Of the patients of each hospital, in the order of its file, each fifth is test and each one before it val. The
    source writes -9 for a missing value; here its cell is empty.
    """

    name = "heart_disease"
    licence = "none stated in the repository, which is a copy of the UCI Heart Disease data"
    cite = "Janosi, Steinbrunn, Pfisterer, Detrano, Heart Disease, UCI Machine Learning Repository, 1989"
    max_bytes = 1_000_000
    files = (
        *(Files(*_COMMIT, f"Datasets/processed.{s}.data", f"raw/processed.{s}.data", d) for s, d in _DIGESTS.items()),
        Files(
            *_COMMIT,
            "Datasets/heart-disease.names",
            "raw/heart-disease.names",
            "ec7ed5aa4ed8321097808f47b836301c2a0c36f3bb09c40b8b43b622363e6b61",
        ),
    )
    counts: ClassVar[dict[str, int]] = {"patients": 920, "train": 555, "val": 183, "test": 182}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "raw").rename(to / "raw")
        splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        rows: list[dict[str, object]] = []
        for site in _DIGESTS:
            with (to / f"raw/processed.{site}.data").open(encoding="utf-8", newline="") as file:
                next(file)  # X1 to X14
                for index, cells in enumerate(csv.reader(file)):
                    split = {4: "test", 3: "val"}.get(index % 5, "train")
                    splits[split].append(f"{site}-{index:03d}")
                    row: dict[str, object] = {"row": splits[split][-1], "split": split, "site": site}
                    values = zip(_COLUMNS, map(float, cells), strict=True)
                    row |= {name: "" if value == _MISSING else f"{value:g}" for name, value in values}
                    rows.append(row | {"disease": int(row["num"] != "0")})
        write_splits(to, splits)
        write_rows(to / "heart_disease.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        rows = (folder / "heart_disease.csv").read_bytes().count(b"\n") - 1
        return {"patients": rows, **count_splits(folder)}
