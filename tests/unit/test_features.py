"""`FeatureSpec`: which level a head gets, and what it says when there is none."""

import pytest

from mtl.features import FeatureSpec

SPEC = FeatureSpec({"p4": 32, "c4": 64, "p2": 32, "p3": 32}, {"p4": 16, "c4": 16, "p2": 4, "p3": 8})


def test_deepest_is_the_last_of_the_largest_strides() -> None:
    assert SPEC.deepest == "c4"
    assert FeatureSpec({"c4": 64, "p2": 32}, {"c4": 16, "p2": 4}).deepest == "c4"


def test_pyramid_is_finest_first() -> None:
    assert SPEC.pyramid("head 'boxes'") == ["p2", "p3", "p4"]


def test_rejects_a_level_that_is_not_there_and_names_the_near_one() -> None:
    with pytest.raises(ValueError, match="head 'boxes' asks for level 'p22'.*gives p4, c4, p2, p3.*mean 'p2'"):
        SPEC.require(["p22"], "head 'boxes'")
    assert SPEC.require(["p3", "c4"], "head 'boxes'") == ["p3", "c4"]


def test_rejects_a_backbone_without_a_pyramid() -> None:
    with pytest.raises(ValueError, match="needs pyramid levels.*gives c4"):
        FeatureSpec({"c4": 64}, {"c4": 16}).pyramid("head 'boxes'")


def test_rejects_pyramid_levels_of_unequal_width() -> None:
    with pytest.raises(ValueError, match="levels of equal width"):
        FeatureSpec({"p2": 32, "p3": 64}, {"p2": 4, "p3": 8}).pyramid("head 'boxes'")


def test_rejects_channels_and_strides_of_other_levels() -> None:
    with pytest.raises(ValueError, match=r"\['c4'\], with strides \['c5'\]"):
        FeatureSpec({"c4": 64}, {"c5": 32})
