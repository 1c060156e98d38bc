"""`FeatureSpec`: which level a head gets, and what it says when there is none."""

from typing import Any

import pytest
import torch

from mtl.features import FeatureSpec, as_rows, zero_padding

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
    with pytest.raises(ValueError, match="level 'c5' has no channels; there are c4"):
        FeatureSpec({"c4": 64}, {"c5": 32})


SEQUENCE = FeatureSpec({"t1": 8, "pooled": 4}, layouts={"t1": "sequence", "pooled": "vector"})


def test_a_vector_has_seen_most_and_a_head_of_maps_is_refused_by_name() -> None:
    assert SEQUENCE.deepest == "pooled"
    assert (SEQUENCE.first("sequence"), SEQUENCE.first("map")) == ("t1", "t1")
    with pytest.raises(ValueError, match="level 't1' of layout map; the backbone gives t1 \\(sequence\\), pooled"):
        SEQUENCE.require(["t1"], "head 'boxes'", ["map"])
    with pytest.raises(ValueError, match="needs pyramid levels.*gives t1 \\(sequence\\)"):
        SEQUENCE.pyramid("head 'boxes'")


def test_padded_cells_are_zero_and_pass_no_gradient() -> None:
    values = torch.ones(2, 3, 8, requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    out = zero_padding({"t1": values, "t1_mask": mask, "pooled": torch.ones(2, 4)}, SEQUENCE)
    out["t1"].sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad[..., 0] > 0, mask)
    assert out["pooled"].sum() == 8


def test_rows_of_every_layout() -> None:
    assert as_rows(torch.zeros(2, 5, 3, 4), "map").shape == (2, 12, 5)
    assert as_rows(torch.zeros(2, 7, 5), "sequence").shape == (2, 7, 5)
    assert as_rows(torch.zeros(2, 5), "vector").shape == (2, 1, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 4), "gives a Tensor; expected a dict"),
        ({"other": torch.zeros(2, 4)}, "gives other; its spec declares a level 'v'"),
        ({"v": torch.zeros(2, 5)}, r"level 'v' as \[2, 5\]; its spec declares a vector of 4 channels, \[B,C\]"),
        ({"v": torch.zeros(2, 4, 1, 1)}, "declares a vector"),
    ],
)
def test_features_that_are_not_what_is_declared_are_refused(given: Any, message: str) -> None:
    spec = FeatureSpec({"v": 4}, layouts={"v": "vector"})
    with pytest.raises(ValueError, match=message):
        spec.check(given, "PointNet")


def test_features_of_every_layout_pass() -> None:
    spec = FeatureSpec({"m": 3, "s": 4, "v": 5}, layouts={"s": "sequence", "v": "vector"})
    given = {"m": torch.zeros(2, 3, 6, 7), "s": torch.zeros(2, 9, 4), "v": torch.zeros(2, 5)}
    assert spec.check(given, "x") is given
