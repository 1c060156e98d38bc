"""Every measure of sharing sees a planted share grow; a new file in `mtl/affinity/sharing/` is tested by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

import math
from collections.abc import Sequence

import pytest
import torch

import mtl.affinity
from mtl.affinity.sharing.project_out import ProjectOut
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from tests.contract.kit.found import found
from tests.contract.kit.planted_share import READ, TASKS, inside

assert mtl.affinity
MEASURES = found(SharingMeasure)  # type: ignore[type-abstract]
every_measure = pytest.mark.parametrize("cls", MEASURES, ids=lambda cls: cls.__name__)
PLANTED = (0, 2, 4, 6)
# the last hidden level; the project-out share is exact at the first one, where the tasks meet
LEVEL = {"ProjectOut": "stage 1", "SubspaceOverlap": "stage 1", "LayerCosines": "layers.2.0"}


def at_level(cls: type[SharingMeasure], findings: Sequence[Finding]) -> list[float]:
    level = LEVEL.get(cls.__name__, "stage 2")
    last = max((one.step for one in findings if one.step is not None), default=None)
    return [one.value for one in findings if one.level == level and one.step == last and one.source != one.target]


@every_measure
def test_a_planted_share_is_seen_to_grow(cls: type[SharingMeasure]) -> None:
    values = [at_level(cls, cls().measure(inside(shared, singles=True))) for shared in PLANTED]
    means = [sum(of_share) / len(of_share) for of_share in values]
    low = means if cls.__name__ != "LayerCosines" else [max(means[:3]), means[3]]  # blind up to two thirds, as it says
    assert low == sorted(low), means
    assert means[-1] > means[0] + 0.3
    if cls is ProjectOut:
        assert all(
            abs(value - shared / READ) <= 0.2 for shared, of in zip(PLANTED, values, strict=True) for value in of
        )


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_project_out_share_is_right_for_other_seeds(seed: int) -> None:
    for shared in PLANTED:
        for value in at_level(ProjectOut, ProjectOut().measure(inside(shared, seed=seed))):
            assert value == pytest.approx(shared / READ, abs=0.2)


@every_measure
def test_models_are_left_as_they_were_and_numbers_repeat(cls: type[SharingMeasure]) -> None:
    place = inside(2, singles=True)
    assert place.model is not None
    before = {name: value.clone() for name, value in place.model.state_dict().items()}
    first, again = (cls().measure(place) for _ in range(2))
    assert first == again
    assert place.model.training
    for name, value in place.model.state_dict().items():
        assert torch.equal(value, before[name])
    assert cls.paper
    assert cls.blind
    for one in first:
        assert math.isnan(one.value) or cls.limits[0] - 1 <= one.value <= cls.limits[1] + 0.1
        assert {one.source, one.target} <= set(TASKS)
        assert one.step is not None or "random" in one.baselines or len(one.baselines) > 0, "a number needs a baseline"


@every_measure
def test_what_is_missing_is_named(cls: type[SharingMeasure]) -> None:
    nothing = Inside(TASKS, inside(2).batches)
    if cls.needs == "checkpoints":
        assert cls().measure(nothing) == []
        return
    with pytest.raises(ValueError, match="--run|--single"):
        cls().measure(nothing)
