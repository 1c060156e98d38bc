"""The hints that error messages share."""

import math

import pytest

from mtl.errors import did_you_mean, import_optional


def test_the_nearest_word_is_offered() -> None:
    assert did_you_mean("boxs", ["scene", "boxes", "age"]) == " Did you mean 'boxes'?"


def test_nothing_is_offered_when_nothing_is_near() -> None:
    assert did_you_mean("zebra", ["scene", "boxes"]) == ""
    assert did_you_mean("zebra", []) == ""


def test_an_installed_package_is_imported() -> None:
    assert import_optional("math", "never") is math


def test_a_missing_package_names_the_extra_that_brings_it() -> None:
    with pytest.raises(ImportError, match=r"'no_such_package'.*pip install \"mtl\[export\]\""):
        import_optional("no_such_package", "export")
