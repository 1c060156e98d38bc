"""Tables of scikit-learn: the numbers are those of scikit-learn, and labels are never inputs."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

from mtl.data.folder.image_labels import ImageLabels
from mtl.data.sets.sklearn_table import SklearnTable

TASKS = {
    "cultivar": ImageLabels(classes=["class_0", "class_1", "class_2"], column="target"),
    "alcohol": ImageLabels("regression"),
}


def test_all_columns_but_the_labels_are_inputs_with_scikit_learns_values() -> None:
    data = SklearnTable("wine", TASKS, fractions=[0.6, 0.2, 0.2], stratify="target")
    data.setup("fit")
    data.setup("test")
    assert len(data.inputs["row"].names) == 2 * 12
    assert not {"alcohol", "target"} & set(data.inputs["row"].names)
    assert SklearnTable.declare_inputs(dataset="wine", column_tasks=TASKS) == data.inputs
    bunch = load_wine()
    sets = [data.train_set, data.val_set, data.test_set]
    samples = [part[i] for part in sets for i in range(len(part))]  # type: ignore[arg-type]
    assert len(samples) == 178
    rows = sorted(zip(bunch.data[:, 0], bunch.target, bunch.data[:, 1:].tolist(), strict=True))
    found = sorted((float(s["alcohol"]), int(s["cultivar"]), s["row"][::2].tolist()) for s in samples)
    np.testing.assert_allclose([row[0] for row in found], [row[0] for row in rows], rtol=1e-6)
    assert sorted(int(s["cultivar"]) for s in samples) == sorted(bunch.target)
    np.testing.assert_allclose(np.sort([r[2] for r in found], 0), np.sort([r[2] for r in rows], 0), rtol=1e-6)


def test_an_unknown_column_is_an_error_with_the_nearest_one() -> None:
    data = SklearnTable("iris", {"kind": ImageLabels(classes=["setosa"], column="targt")}, fractions=[0.5, 0.5])
    with pytest.raises(ValueError, match="iris has no column 'targt'; it has sepal_length_.cm."):
        data.setup("fit")
