"""Made-up patients: what they have, and the row of a table that a laboratory writes of each.

The numbers are chosen so that a network has something to learn; they are no medical knowledge.
Shapes: N patients.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl.data.csv_rows import Rows
from mtl.data.table.columns import Columns

DIAGNOSES = ("healthy", "iron_deficiency", "b12_deficiency", "blood_loss", "malaria")
NUMERIC = ("age", "haemoglobin", "um_per_px")
CATEGORICAL = {"sex": ("female", "male"), "stain": ("giemsa", "wright", "field")}
COLUMNS = Columns(NUMERIC, CATEGORICAL)
SCALE_UM = (0.42, 0.84)  # of a pixel, from the smallest to the largest
_DIAMETER_UM = (7.5, 6.1, 9.3, 7.5, 7.5)  # mean red cell, by diagnosis
_HAEMOGLOBIN = ((14.4, 0.7), (10.2, 1.2), (10.4, 1.2), (10.0, 1.2), (12.3, 1.8))  # g/dl: mean and deviation
_LIMIT = (12.0, 13.0)  # g/dl, by sex: below it is anaemia
_MEASURED = 0.4  # deviation of what is measured from what is true, g/dl


@dataclass(frozen=True)
class Patients:
    """What is true of each patient.

    Args:
        diagnosis: index in `DIAGNOSES`, [N].
        sex: index in `CATEGORICAL["sex"]`, [N].
        stain: index in `CATEGORICAL["stain"]`, [N].
        age: years, [N].
        haemoglobin: g/dl, [N].
        um_per_px: width of a pixel of the picture in micrometres, [N].
        diameter_um: mean diameter of the red cells, [N].
    """

    diagnosis: NDArray[np.int64]
    sex: NDArray[np.int64]
    stain: NDArray[np.int64]
    age: NDArray[np.float64]
    haemoglobin: NDArray[np.float64]
    um_per_px: NDArray[np.float64]
    diameter_um: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.diagnosis)

    @property
    def anaemic(self) -> NDArray[np.bool_]:
        """Whether the haemoglobin is below the limit of the sex, [N]."""
        below: NDArray[np.bool_] = self.haemoglobin < np.array(_LIMIT)[self.sex]
        return below


def random_patients(number: int, rng: np.random.Generator) -> Patients:
    """Patients of whom each diagnosis has an equal share.

    Args:
        number: how many.
        rng: random numbers.
    """
    diagnosis, sex = rng.integers(len(DIAGNOSES), size=number), rng.integers(2, size=number)
    mean, deviation = np.array(_HAEMOGLOBIN)[diagnosis].T
    return Patients(
        diagnosis,
        sex,
        rng.integers(len(CATEGORICAL["stain"]), size=number),
        rng.uniform(18, 90, number),
        # men have more of it
        (mean + deviation * rng.normal(size=number) + 0.9 * (sex - 0.5)).clip(5, 19),
        np.exp(rng.uniform(float(np.log(SCALE_UM[0])), float(np.log(SCALE_UM[1])), number)),
        np.array(_DIAMETER_UM)[diagnosis] + 0.25 * rng.normal(size=number),
    )


def rows_of(patients: Patients, missing: Mapping[str, float], rng: np.random.Generator) -> Rows:
    """What the laboratory wrote down: measured, rounded, and some cells left empty.

    Args:
        patients: the patients.
        missing: share of the cells that are empty, by column.
        rng: random numbers.
    """
    measured = patients.haemoglobin + _MEASURED * rng.normal(size=len(patients))
    cells = {
        "age": [f"{value:.0f}" for value in patients.age],
        "haemoglobin": [f"{value:.1f}" for value in measured],
        "um_per_px": [f"{value:.3f}" for value in patients.um_per_px],
        "sex": [CATEGORICAL["sex"][index] for index in patients.sex],
        "stain": [CATEGORICAL["stain"][index] for index in patients.stain],
    }
    for column, values in cells.items():
        empty = rng.random(len(patients)) < missing.get(column, 0.0)
        cells[column] = ["" if gone else value for value, gone in zip(values, empty, strict=True)]
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    return Rows("blood smears", tuple(cells), rows, list(range(1, len(rows) + 1)))
