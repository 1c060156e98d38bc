"""The law of architectures: a step with equal weights at any place, beside the plain step."""

import copy
from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.balancing.engine.balancer import Balancer, Place
from mtl.balancing.engine.gradients_before_backward import BeforeBackward
from mtl.balancing.engine.partition import trainable
from mtl.balancing.equal import Equal
from mtl.balancing.transformed import TransformedWeighting
from mtl.batch import Batch
from mtl.callbacks.balancing.cut_check import check_cut
from mtl.model import MultiTaskModel
from tests.contract.kit.architectures import batch, gradients, model, total
from tests.contract.kit.ranks import NEAR_64, double_precision

Gradients = dict[str, Tensor | None]
SOME = ("first", "third")  # tasks that a schedule lets run
Step = tuple[Place, Sequence[str] | None]
STEPS: list[Step] = [
    ("features", None),
    ("parameters", SOME),
    ("parameters", None),
    ("features", SOME),
]


def plain(made: MultiTaskModel, data: Batch, active: Sequence[str] | None = None) -> Gradients:
    losses = made.losses(made(data), data)
    if active is not None and made.trunk.has_penalty:
        # a penalty on what tasks do is one on those that run
        made.junction.active = active
        made(data)
        made.junction.active = None
    total({n: loss for n, loss in losses.items() if active is None or n in active}, made.trunk.penalty()).backward()
    return gradients(made)


def balanced(made: MultiTaskModel, data: Batch, at: Place, active: Sequence[str] | None = None) -> Gradients:
    """A step as `LossBalancing` and `TaskScheduling` make it; raises what they raise."""
    reach = check_cut(made, data, at)
    balancer = Balancer(
        TransformedWeighting(Equal()), made.partition(), at, shared_after_cut=made.trunk.shared_after_cut
    )
    assert balancer.node is not None
    balancer.node.keep_graph, balancer.node.watched = made.trunk.has_penalty, True
    if isinstance(balancer.node, BeforeBackward) and reach.behind:
        balancer.node.shared_after_cut = True
    if dist.is_initialized():
        balancer.node.group = dist.group.WORLD
    made.junction.node, made.junction.active = balancer.node, active
    losses = made.losses(made(data), data)
    assert active is None or set(losses) == set(active)
    objective, penalty = balancer.objective(losses), made.trunk.penalty()
    (objective if penalty is None else objective + penalty).backward()
    return gradients(made)


def assert_same(found: Gradients, expected: Gradients, near: float = NEAR_64) -> None:
    for name, value in expected.items():
        value = torch.zeros(()) if value is None else value
        other = found[name] if found[name] is not None else torch.zeros_like(value)
        bound = near * max(1.0, float(value.abs().max()))
        torch.testing.assert_close(
            other, value.expand_as(other), rtol=near, atol=bound, msg=lambda m, n=name: f"{n}: {m}"
        )


def refused(made: MultiTaskModel, data: Batch, at: Place) -> bool:
    """Whether a place is refused by name; only features may be."""
    message = ""
    if at == "parameters" and not trainable(made.partition().shared):
        return True  # by `LossBalancing`
    try:
        check_cut(made, data, at)
    except ValueError as error:
        message = str(error)
    assert not message or (at == "features" and type(made.trunk).__name__ in message and "at: parameters" in message)
    return bool(message)


def obeys_the_law(start: MultiTaskModel, data: Batch, steps: Sequence[Step] = STEPS) -> list[Place]:
    """Check places and schedules, in 64 bits; returns the places that are not refused."""
    found: list[Place] = []
    for at, active in steps:
        if not refused(start, data, at):
            expected = plain(copy.deepcopy(start), data, active)
            assert_same(balanced(copy.deepcopy(start), data, at, active), expected)
            if at not in found:
                found.append(at)
    return found


def law_of(
    make: Callable[[Backbone, list[str]], Architecture], ground: str, steps: Sequence[Step] = STEPS
) -> list[Place]:
    """The same for an architecture with settings of its own; `make` is its class with arguments.

    Args:
        make: makes it from a backbone and the names of the tasks.
        ground: name of one of `GROUNDS`.
        steps: places and schedules; all by default.
    """
    with double_precision():
        return obeys_the_law(model(make, ground), batch(ground), steps)


def step_in_turn(make: Callable[[Backbone, list[str]], Architecture], ground: str, turn: int) -> Step:
    """One place under one schedule; four turns meet all. At the parameters, where features are refused.

    Args:
        make: as in `law_of`.
        ground: name of one of `GROUNDS`.
        turn: any number.
    """
    at, active = STEPS[turn % len(STEPS)]
    if refused(model(make, ground), batch(ground), at):
        at = "parameters"
    return at, active
