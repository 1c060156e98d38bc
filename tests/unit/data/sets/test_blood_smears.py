"""BloodSmears: rows and pictures agree with the patient, cells go missing as asked, absent inputs are absent."""

from typing import Any

import numpy as np
import pytest

from mtl.data.sets.blood_smears import BloodSmears
from mtl.data.smears.drawing import CELLS
from mtl.data.smears.patients import DIAGNOSES

SMALL: dict[str, Any] = {"num_train": 120, "num_val": 10, "num_test": 10, "image_size": 48}


@pytest.fixture(scope="module")
def data() -> BloodSmears:
    made = BloodSmears(**SMALL)
    made.setup("fit")
    return made


def test_the_width_of_red_cells_times_the_scale_is_their_size(data: BloodSmears) -> None:
    patients, smears = data.train_set.patients, data.train_set.smears
    for index, smear in enumerate(smears):
        boxes = smear.boxes[smear.labels != CELLS.index("white")]
        if len(boxes) >= 3:
            width_um = float((boxes[:, 2] - boxes[:, 0]).mean()) * patients.um_per_px[index]
            assert width_um == pytest.approx(patients.diameter_um[index], rel=0.12)


def test_only_malaria_has_infected_cells_and_boxes_stay_inside(data: BloodSmears) -> None:
    malaria = data.train_set.patients.diagnosis == DIAGNOSES.index("malaria")
    infected = np.array([(smear.labels == CELLS.index("infected")).any() for smear in data.train_set.smears])
    assert not infected[~malaria].any()
    assert infected[malaria].mean() > 0.8
    assert all((smear.boxes >= 0).all() and (smear.boxes <= 48).all() for smear in data.train_set.smears)


def test_cells_of_the_row_are_missing_as_asked() -> None:
    made = BloodSmears(**{**SMALL, "missing": {"haemoglobin": 0.5}})
    made.setup("fit")
    rows = made.train_set.rows.rows
    assert 0.3 < np.mean([row["haemoglobin"] == "" for row in rows]) < 0.7
    assert all(row["age"] and row["stain"] for row in rows)


def test_an_absent_picture_takes_its_boxes_along() -> None:
    made = BloodSmears(**{**SMALL, "present": {"image": 0.5, "row": 0.8}})
    made.setup("fit")
    samples = [made.train_set[index] for index in range(120)]
    assert all(("image" in sample) == ("cells" in sample) for sample in samples)
    assert all("image" in sample or "row" in sample for sample in samples)
    assert 30 < sum("image" in sample for sample in samples) < 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": {"hight": 0.1}}, "missing has hight"),
        ({"present": {"row": 0.0}}, "present has row: 0.0"),
        ({"modalities": []}, "must be among image, row"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BloodSmears(**options)
