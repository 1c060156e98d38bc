"""Image-level classes from a CSV: missing values and errors."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mtl.data.folder.image_labels import ImageLabels, read_rows


def test_a_class_name_becomes_its_index() -> None:
    spec = ImageLabels(classes=["cat", "dog"])
    assert spec.value("animal", {"animal": " dog "}) == 1
    assert spec.task("animal").class_names == ("cat", "dog")


def test_missing_marks_are_no_class_unless_listed_as_one() -> None:
    spec = ImageLabels(classes=["cat"], missing=["", "NONE", "MIXED"])
    assert [spec.value("animal", {"animal": cell}) for cell in ("", "NONE", "MIXED")] == [None] * 3
    assert ImageLabels(classes=["cat", "NONE"]).value("animal", {"animal": "NONE"}) == 1


def test_several_columns_of_0_and_1_are_one_multilabel_task() -> None:
    spec = ImageLabels("multilabel", columns=["has_cat", "has_dog"])
    assert spec.task("present").class_names == ("has_cat", "has_dog")
    assert spec.value("present", {"has_cat": "1", "has_dog": "0"}) == [1.0, 0.0]
    assert spec.value("present", {"has_cat": "3", "has_dog": "0"}) == [1.0, 0.0]
    assert spec.value("present", {"has_cat": "1", "has_dog": ""}) is None


def test_names_in_one_column_are_one_multilabel_task() -> None:
    spec = ImageLabels("multilabel", classes=["cat", "dog", "cow"], missing=["?"])
    assert spec.value("present", {"present": "cow|cat"}) == [1.0, 0.0, 1.0]
    assert spec.value("present", {"present": ""}) == [0.0, 0.0, 0.0]
    assert spec.value("present", {"present": "?"}) is None


def test_numbers_are_a_regression() -> None:
    spec = ImageLabels("regression", column="n")
    assert spec.value("count", {"n": "2.5"}) == 2.5
    with pytest.raises(ValueError, match="'many' is not a number.*list it in `missing`"):
        spec.value("count", {"n": "many"})


def test_missing_arrays_have_the_form_of_their_kind() -> None:
    assert ImageLabels(classes=["a", "b"]).empty("t", 3).tolist() == [-100] * 3
    assert np.isnan(ImageLabels("regression").empty("t", 3)).all()
    assert ImageLabels("multilabel", classes=["a", "b"]).empty("t", 3).shape == (3, 2)


def test_an_unknown_label_is_an_error_with_two_ways_out() -> None:
    with pytest.raises(ValueError, match="'dgo'.*cat, dog.*Did you mean 'dog'.*Add it to `classes`, or list it"):
        ImageLabels(classes=["cat", "dog"]).value("animal", {"animal": "dgo"})
    with pytest.raises(ValueError, match="'cwo'"):
        ImageLabels("multilabel", classes=["cow"]).value("present", {"present": "cow|cwo"})


def test_an_unknown_column_is_an_error() -> None:
    with pytest.raises(ValueError, match="reads column 'animal'.*Did you mean 'animals'"):
        ImageLabels(classes=["cat"]).value("animal", {"animals": "cat"})


def test_a_spec_comes_in_any_form_a_config_has() -> None:
    expected = ImageLabels(classes=["cat"])
    plain = {"classes": ["cat"]}
    for form in (expected, plain, SimpleNamespace(**plain), {"class_path": "ImageLabels", "init_args": plain}):
        assert ImageLabels.of(form) == expected
    with pytest.raises(ValueError, match="'clases'.*Did you mean 'classes'"):
        ImageLabels.of({"clases": ["cat"]})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ImageLabels(), "needs its `classes`"),
        (ImageLabels("regression", classes=["a"]), "has no `classes`"),
        (ImageLabels(classes=["a"], columns=["b"]), "`columns` is for kind multilabel"),
        (ImageLabels("multilabel", classes=["a"], columns=["b", "c"]), "2 columns and 1 classes"),
    ],
)
def test_rejects_specs_that_mean_nothing(spec: ImageLabels, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec.task("t")


def test_a_csv_is_read_by_the_name_of_the_picture(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffimage,x\np0,1\np1,2\n", encoding="utf-8")
    assert read_rows(tmp_path / "a.csv", "image")["p1"]["x"] == "2"
    with pytest.raises(ValueError, match="no column 'picture'"):
        read_rows(tmp_path / "a.csv", "picture")
    with pytest.raises(ValueError, match="is not a file"):
        read_rows(tmp_path / "b.csv", "image")
    (tmp_path / "a.csv").write_text("image,x\np0,1\np0,2\n")
    with pytest.raises(ValueError, match="two rows for 'p0'"):
        read_rows(tmp_path / "a.csv", "image")


def test_cells_stand_for_classes_in_their_order() -> None:
    spec = ImageLabels(classes=["healthy", "ill"], cells=["0", "1"])
    assert [spec.value("t", {"t": cell}) for cell in ("0", "1", "")] == [0, 1, None]
    with pytest.raises(ValueError, match="label '2' that is not among its `cells` 0, 1"):
        spec.value("t", {"t": "2"})
    for wrong in (ImageLabels(classes=["a", "b"], cells=["0"]), ImageLabels("regression", cells=["0"])):
        with pytest.raises(ValueError, match="`cells` is for kind classification"):
            wrong.task("t")
