"""Architectures with every kind of head, on every layout: the first prediction of each learns as the last does."""

import pytest
import torch

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.first_predictions import FIRST, FirstPredictions
from mtl.heads.head import Head
from tests.contract.kit.architectures import ARCHITECTURES, batch, grounds_of, model
from tests.contract.kit.batches import CASES as HEADS
from tests.contract.kit.law import plain

TURNS = [cls for cls in ARCHITECTURES if issubclass(cls, FirstPredictions)]  # none, where `--contract` names others
# every head once, each with the next architecture in turn that is built on its features
PAIRS = [
    pytest.param(*head.values, fitting[index % len(fitting)], id=str(head.id))
    for index, head in enumerate(HEADS)
    if (fitting := [cls for cls in TURNS if head.values[2] in grounds_of(cls)])
]


@pytest.mark.parametrize(("head", "kind", "ground", "cls"), PAIRS)
def test_every_head_learns_from_a_first_prediction_too(
    head: type[Head], kind: str, ground: str, cls: type[Architecture]
) -> None:
    heads = {"third": (head, kind)}
    made, data = model(cls, ground, heads), batch(ground, heads)
    outputs = made(data)["third"]
    first = {key.removeprefix(FIRST) for key in outputs if key.startswith(FIRST)}
    assert first == {key for key in outputs if not key.startswith(FIRST)}
    found = plain(made, data)
    own = {name: value for name, value in found.items() if name.startswith("trunk.of_task.third.first.")}
    assert own
    assert all(value is not None and value.isfinite().all() for value in own.values())
    made.eval()
    later = made(data)["third"]
    assert not [key for key in later if key.startswith(FIRST)], "what is exported predicts once"
    assert made.decode({"third": later})["third"]


def test_the_loss_of_a_first_prediction_is_weighed_and_can_be_left_out() -> None:
    data = batch("vector")

    def loss(first_weight: float) -> torch.Tensor:
        def make(backbone: object, names: list[str]) -> Architecture:
            return TURNS[0](backbone, names, first_weight=first_weight)  # type: ignore[arg-type]

        made = model(make, "vector")
        if not first_weight:
            assert not hasattr(made.trunk.of_task["third"], "first")
        made.load_state_dict(model(TURNS[0], "vector").state_dict(), strict=False)
        return made.losses(made(data), data)["third"]

    without, once, twice = loss(0.0), loss(1.0), loss(2.0)
    assert once > without
    torch.testing.assert_close(twice - once, once - without)
    with pytest.raises(ValueError, match="first_weight=-1"):
        loss(-1)
