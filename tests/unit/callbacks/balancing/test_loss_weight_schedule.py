"""Weights of losses that move with the step: by hand, in a run, and where they would have no effect."""

import pytest
import torch

from mtl.balancing.uncertainty import Uncertainty
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.loss_weight_schedule import LossWeightSchedule, WeightRamp
from tests.contract.kit.runs import Scenes, Watch, module, trainer


def test_a_ramp_is_a_straight_line_between_two_constants() -> None:
    ramp = WeightRamp(from_step=10, steps=20, start=0.5, end=2.5)
    assert [ramp.factor(step) for step in (0, 10, 15, 30, 99)] == [0.5, 0.5, 1.0, 2.5, 2.5]
    assert [WeightRamp(from_step=3).factor(step) for step in (2, 3)] == [0, 1]
    assert [WeightRamp(steps=4, start=1, end=0).factor(step) for step in (0, 1, 4)] == [1, 0.75, 0]
    with pytest.raises(ValueError, match="steps=-1"):
        WeightRamp(steps=-1)


def test_a_task_joins_later_and_fades_in() -> None:
    watch, loop = Watch(), module(loss_weights={"largest": 2.0})
    schedule = LossWeightSchedule({"largest": WeightRamp(from_step=1, steps=2)})
    trainer([schedule, watch], max_steps=5, max_epochs=2).fit(loop, Scenes())
    assert [float(weights["weights/largest"]) for weights in watch.weights] == [0, 0, 1, 2, 2]
    assert {float(weights["weights/boxes"]) for weights in watch.weights} == {1}
    assert loop.loss_weights["largest"] == 2.0, "as it was, for the next fit"


def test_a_task_of_weight_0_is_not_trained() -> None:
    loop = module()
    before = [parameter.clone() for parameter in loop.model.head("count").parameters()]
    trainer([LossWeightSchedule({"count": WeightRamp(from_step=9)})], max_steps=2).fit(loop, Scenes())
    assert all(torch.equal(a, b) for a, b in zip(before, loop.model.head("count").parameters(), strict=True))


def test_it_is_refused_where_it_has_no_effect() -> None:
    with pytest.raises(ValueError, match="Did you mean 'count'"):
        trainer([LossWeightSchedule({"coutn": WeightRamp()})], max_steps=1).fit(module(), Scenes())
    callbacks = [LossBalancing(Uncertainty()), LossWeightSchedule({"count": WeightRamp()})]
    with pytest.raises(ValueError, match="LossWeightSchedule has no effect"):
        trainer(callbacks, max_steps=1).fit(module(), Scenes())
