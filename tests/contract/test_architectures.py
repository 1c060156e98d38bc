"""The law of architectures: under equal weights every parameter gets the plain gradient, wherever it is balanced.

A new file in `mtl/architectures/` is tested here by being found, on a trunk of every layout. `pytest --contract
my.module.Class` tests a class of your own.
"""

import copy
import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.balancing.engine.balancer import Place
from mtl.balancing.engine.partition import trainable
from mtl.batch import Batch
from mtl.model import MultiTaskModel
from tests.conftest import RunRanks
from tests.contract.kit.architectures import (
    ARCHITECTURES,
    GROUNDS,
    NIGHTLY,
    batch,
    every_architecture,
    everywhere,
    gramian_of_losses,
    grounds_of,
    model,
    somewhere,
)
from tests.contract.kit.found import chosen_alone
from tests.contract.kit.law import Gradients, assert_same, balanced, law_of, plain, refused, step_in_turn
from tests.contract.kit.ranks import NEAR_64, double_precision


@pytest.mark.skipif(chosen_alone(), reason="one class is tested")
def test_architectures_are_found() -> None:
    assert len(ARCHITECTURES) >= 4


@everywhere
def test_equal_weights_give_the_plain_gradient(cls: type[Architecture], ground: str) -> None:
    # the grounds of an architecture meet all places and schedules
    at, active = step_in_turn(cls, ground, ARCHITECTURES.index(cls) + list(GROUNDS).index(ground))
    assert law_of(cls, ground, [(at, active)]) == [at]


@pytest.mark.nightly
@everywhere
def test_equal_weights_do_so_at_every_place_under_every_schedule(cls: type[Architecture], ground: str) -> None:
    assert "parameters" in law_of(cls, ground)


def over_ranks(rank: int, cls: type[Architecture], ground: str, at: Place, active: Sequence[str] | None) -> Gradients:
    """The gradient that DDP makes of those of the ranks."""
    ranks = dist.get_world_size()
    with double_precision():
        step = balanced(model(cls, ground), batch(ground, rank=rank, ranks=ranks), at, active)
    for value in step.values():
        if value is not None:
            dist.all_reduce(value)
            value /= ranks
    return step


@pytest.mark.ddp
@somewhere
def test_two_ranks_have_the_gradient_of_one_with_both_batches(
    cls: type[Architecture], ground: str, run_ranks: RunRanks
) -> None:
    turn = ARCHITECTURES.index(cls) + list(GROUNDS).index(ground)
    with double_precision():
        at, active = step_in_turn(cls, ground, turn)
        first, second = run_ranks(over_ranks, cls, ground, at, active)
        assert_same(second, first, near=0)
        assert_same(first, plain(model(cls, ground), batch(ground), active))


@somewhere
def test_rows_are_separate_gradients(cls: type[Architecture], ground: str) -> None:
    with double_precision():
        made, data = model(cls, ground), batch(ground)
        twin = copy.deepcopy(made)
        losses = twin.losses(twin(data), data)
        expected = gramian_of_losses(losses, trainable(twin.partition().shared))
        balanced(made, data, "parameters")
        node = made.junction.node
        assert node is not None
        assert node.gramian is not None
        torch.testing.assert_close(node.gramian, expected, rtol=NEAR_64, atol=NEAR_64 * float(expected.max()))
        assert (expected.diagonal() > 0).all(), "every task reaches what is shared"


@everywhere
def test_own_parameters_are_reached_by_their_task_alone(cls: type[Architecture], ground: str) -> None:
    """Put what belongs to one task into `self.of_task[name]`: all other parameters count as shared.

    A head may read one level of several: add `0 * parameter.sum()` of the other levels to each level.
    """
    made, data = model(cls, ground), batch(ground)
    partition, outputs = made.partition(), made(data)
    everything = [*partition.shared, *(p for own in partition.own.values() for p in own)]
    assert {id(p) for p in everything} == {id(p) for p in made.parameters()}
    reached: set[int] = set()
    for name, loss in made.losses(outputs, data).items():
        found = torch.autograd.grad(loss, trainable(everything), retain_graph=True, allow_unused=True)
        here = {id(p) for p, part in zip(trainable(everything), found, strict=True) if part is not None}
        reached |= here
        others = {id(p) for other, own in partition.own.items() if other != name for p in own}
        assert not here & others
    names = [name for name, p in made.named_parameters() if p.requires_grad and id(p) not in reached]
    assert names == [], "no loss reaches these parameters, and DDP waits for them: see the docstring of Architecture"


@somewhere
def test_views_are_what_is_declared(cls: type[Architecture], ground: str) -> None:
    """Levels may be maps, sequences or vectors, as `self.spec.layouts` says, beside `<level>_mask`, which passes;
    `by_channel` of mtl/architectures/parts/stages.py shapes one number for each channel.
    """
    made, data = model(cls, ground), batch(ground)
    cut = made.cut(data)
    for spec, found in [(made.trunk.cut_spec, cut), *((made.trunk.spec, made.trunk.view(cut, n)) for n in made.heads)]:
        for level, width in spec.channels.items():
            layout = spec.layouts[level]
            assert found[level].ndim == {"map": 4, "sequence": 3, "vector": 2}[layout], level
            assert found[level].shape[1 if layout == "map" else -1] == width, level
        assert {level for level in found if not level.endswith("_mask")} == set(spec.channels)


def tie_heads(made: MultiTaskModel) -> None:
    """One layer that two heads use."""
    first, second = made.heads["first"], made.heads["second"]
    second.shared_layer = next(m for m in first.modules() if isinstance(m, nn.Linear))
    second.register_forward_hook(lambda module, _, out: {k: v + _touch(module.shared_layer) for k, v in out.items()})


def _touch(layer: nn.Module) -> Tensor:
    return layer.weight.square().sum() + layer.bias.sum()  # type: ignore[operator, union-attr]


def freeze_half(made: MultiTaskModel) -> None:
    """Every other parameter of what is shared does not learn."""
    for parameter in trainable(made.partition().shared)[1::2]:
        parameter.requires_grad_(False)


def freeze_first(made: MultiTaskModel) -> None:
    """What the tasks share in the beginning does not learn, so that some of the cut needs no gradient."""
    shared = trainable(made.partition().shared)
    for parameter in shared[: len(shared) // 2]:
        parameter.requires_grad_(False)


# one change each in turn; the others at night
UNUSUAL = [
    pytest.param(change, cls, id=f"{cls.__name__}-{change.__name__}", marks=NIGHTLY if (turn - index) % 3 else [])
    for index, cls in enumerate(ARCHITECTURES)
    for turn, change in enumerate((tie_heads, freeze_half, freeze_first))
]


@pytest.mark.parametrize(("change", "cls"), UNUSUAL)
def test_an_unusual_model_is_right_or_refused_by_name(
    change: Callable[[MultiTaskModel], None], cls: type[Architecture]
) -> None:
    ground = grounds_of(cls)[-1]
    with double_precision():
        start, data = model(cls, ground), batch(ground)
        change(start)
        for at in ("features", "parameters"):
            if not refused(start, data, at):
                twins = []
                for _ in range(2):
                    twins.append(model(cls, ground))
                    change(twins[-1])
                assert_same(balanced(twins[0], data, at), plain(twins[1], data))


@every_architecture
def test_padded_steps_change_nothing(cls: type[Architecture]) -> None:
    if "sequence" not in grounds_of(cls):
        pytest.skip("is not built on sequences")
    made, data = model(cls, "sequence").eval(), batch("sequence")
    longer = {**data, "words": nn.functional.pad(data["words"], (0, 16))}
    longer["words_mask"] = nn.functional.pad(data["words_mask"], (0, 16))
    short, long = made(data), made(longer)
    for name in ("first", "second"):
        for key, value in short[name].items():
            torch.testing.assert_close(long[name][key], value, rtol=1e-4, atol=1e-5)


@somewhere
def test_hardened_for_a_task_it_gives_the_same(cls: type[Architecture], ground: str) -> None:
    made, data = model(cls, ground).eval(), batch(ground)
    before = made(data)
    for name in made.heads:
        alone = copy.deepcopy(made)
        alone.trunk.harden(name)
        after = alone.outputs(name, alone.cut(data))
        assert sum(p.numel() for p in alone.trunk.parameters()) <= sum(p.numel() for p in made.trunk.parameters())
        for key, value in before[name].items():
            torch.testing.assert_close(after[key], value, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@somewhere
def test_can_be_copied_pickled_and_loaded_after_a_step(cls: type[Architecture], ground: str) -> None:
    made, data = model(cls, ground), batch(ground)
    plain(made, data)
    made.cut(data)  # of which nobody asks the penalty
    buffer = io.BytesIO()
    torch.save(made.state_dict(), buffer)
    buffer.seek(0)
    fresh = model(cls, ground)
    fresh.load_state_dict(torch.load(buffer))
    made.eval()
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made.trunk)), fresh.eval()):
        trunk = twin if isinstance(twin, Architecture) else twin.trunk
        made_cut = made.cut(data)
        other: Any = copy.copy(made)
        cut = made_cut if trunk is made.trunk else _cut_of(trunk, other, data)
        for name in made.heads:
            for level, value in made.trunk.view(made_cut, name).items():
                torch.testing.assert_close(trunk.view(cut, name)[level], value)


def _cut_of(trunk: Architecture, made: MultiTaskModel, data: Batch) -> dict[str, Tensor]:
    prepared: dict[str, Tensor] = {}
    for prepare in made.inputs.values():
        prepared |= prepare(data)
    return trunk.cut(prepared)


class OnePiece(Backbone):
    """A backbone without stages."""

    def __init__(self, whole: Backbone) -> None:
        super().__init__()
        self.whole, self.spec, self.inputs = whole, whole.spec, whole.inputs

    def forward(self, *inputs: Any, **_: Any) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.whole(*inputs)
        return found


@every_architecture
def test_a_backbone_of_one_piece_works_or_is_refused_by_name(cls: type[Architecture]) -> None:
    ground = grounds_of(cls)[0]
    place = GROUNDS[ground]
    backbone = OnePiece(place.backbone(place.inputs))
    try:
        said = "" if cls.example(backbone, list(place.heads)).spec.channels else "no levels"
    except ValueError as error:
        said = str(error)
    refusal = f"{cls.__name__} works on the stages of a backbone, and OnePiece is one piece. Backbones in stages: "
    assert not said or (said.startswith(refusal) and "ResidualFPN" in said)
