"""Every fusion: an absent input changes nothing but through its token, and its encoder gets a gradient of exactly 0."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from mtl.backbones.fusion.bottleneck import BottleneckFusion
from mtl.backbones.fusion.concat import ConcatFusion
from mtl.backbones.fusion.fusion import FusionBackbone, drop
from mtl.backbones.fusion.gated import GatedFusion
from mtl.backbones.fusion.low_rank import LowRankFusion
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.series.convolutions import SeriesConvolutions
from mtl.batch import collate
from mtl.discovery import concrete_subclasses
from mtl.inputs.input import input_kind
from mtl.task import InputSpec

INPUTS = {
    "image": InputSpec("image", "image", channels=1, optional=True),
    "track": InputSpec("track", "series", channels=3, optional=True),
}
ENCODERS = {
    "image": partial(SeedCNN, widths=(4, 4, 6)),
    "track": partial(SeriesConvolutions, width=8, layers=1, dropout=0.0),
}
FUSIONS = list(concrete_subclasses(FusionBackbone))  # type: ignore[type-abstract]
every_fusion = pytest.mark.parametrize("cls", FUSIONS, ids=lambda cls: cls.__name__)


def built(cls: type[FusionBackbone], **options: object) -> FusionBackbone:
    torch.manual_seed(0)
    return cls(INPUTS, ENCODERS, width=8, **options)  # type: ignore[arg-type]


def batch(*have: str, steps: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    """Prepared inputs of samples; each word names the inputs that one has: `i`, `t` or `it`."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for words in have:
        values = {
            "image": torch.rand(1, 8, 8, generator=generator),
            "track": torch.randn(4, 3, generator=generator),
        }
        samples.append({name: value for name, value in values.items() if name[0] in words})
    if steps > 4:
        samples.append({"image": torch.rand(1, 8, 8), "track": torch.randn(steps, 3)})
    made = collate(samples, {}, INPUTS)
    ready: dict[str, torch.Tensor] = {}
    for spec in INPUTS.values():
        ready |= input_kind(spec)(spec)(made)
    ready |= {key: made[key] for key in ("present/image", "present/track")}
    return {key: value[: len(have)] for key, value in ready.items()}


def test_all_are_found() -> None:
    assert len(FUSIONS) >= 5


@every_fusion
def test_what_an_absent_input_holds_changes_nothing(cls: type[FusionBackbone]) -> None:
    model = built(cls).eval()
    plain = batch("it", "i", "t")
    other = {key: value.clone() for key, value in plain.items()}
    other["image"][2], other["track"][1] = 7.0, -7.0
    before, after = model.run(plain)["fused"], model.run(other)["fused"]
    torch.testing.assert_close(after, before)
    present = {**plain, "present/image": torch.ones(3, dtype=torch.bool)}
    assert not torch.allclose(model.run(present)["fused"][2], before[2])
    assert torch.allclose(model.run(present)["fused"][:2], before[:2])


@every_fusion
def test_longer_samples_beside_an_absent_one_change_nothing(cls: type[FusionBackbone]) -> None:
    model = built(cls).eval()
    short, long = batch("it", "i", steps=6), batch("it", "i", steps=30)
    torch.testing.assert_close(model.run(long)["fused"], model.run(short)["fused"], rtol=1e-4, atol=1e-5)


@every_fusion
def test_an_encoder_whose_input_nobody_has_gets_zero_and_not_none(cls: type[FusionBackbone]) -> None:
    model = built(cls)
    model.run(batch("t", "t"))["fused"].square().sum().backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert not [name for name, grad in grads.items() if grad is None]
    assert all(not grad.any() for name, grad in grads.items() if name.startswith("encoders.image") and grad is not None)
    assert any(grad.any() for name, grad in grads.items() if name.startswith("encoders.track") and grad is not None)
    assert grads["tokens.image"] is not None
    assert grads["tokens.image"].any()


@every_fusion
def test_modality_dropout_is_for_training_alone(cls: type[FusionBackbone]) -> None:
    model, data = built(cls, modality_dropout=0.6), batch("it", "it", "it")
    results = [model.run(data)["fused"] for _ in range(4)]
    assert any(not torch.equal(results[0], other) for other in results[1:])
    model.eval()
    assert torch.equal(model.run(data)["fused"], model.run(data)["fused"])


def test_dropout_never_takes_the_last_input() -> None:
    torch.manual_seed(0)
    present = torch.tensor([[True, False], [True, True]]).repeat(500, 1)
    kept = drop(present, 0.5)
    assert not (kept & ~present).any()
    assert kept.any(1).all()
    assert kept[::2, 0].all()
    # of two: a quarter loses the first, a quarter the second, a quarter none, and a quarter both and so none
    assert float((~kept[1::2]).any(1).float().mean()) == pytest.approx(0.5, abs=0.07)


def test_low_rank_is_the_product_of_its_factors() -> None:
    model = built(LowRankFusion, rank=3)
    assert isinstance(model, LowRankFusion)
    vectors = torch.randn(2, 2, 8)
    expected = torch.zeros(2, 8)
    with torch.no_grad():
        for rank in range(3):
            product = torch.ones(2, 8)
            for place, factor in enumerate(model.factors):
                weight, bias = (p.unflatten(0, (3, 8))[rank] for p in factor.parameters())
                product = product * (vectors[:, place] @ weight.T + bias)
            expected += model.ranks[rank] * product
        torch.testing.assert_close(model.join(vectors), model.norm(expected))


def test_gates_are_a_mean_of_the_inputs() -> None:
    model = built(GatedFusion)
    vectors = torch.full((1, 2, 8), 0.3)
    assert isinstance(model, GatedFusion)
    torch.testing.assert_close(model.join(vectors), torch.full((1, 8), 0.3).tanh())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConcatFusion(INPUTS, {"image": SeedCNN}), "has encoders for image; the data gives image, track"),
        (lambda: ConcatFusion(INPUTS, {"image": None, "track": None}), "has encoders for nothing"),
        (lambda: built(ConcatFusion, modality_dropout=1.0), "modality_dropout=1.0 must lie within 0..1"),
        (lambda: built(LowRankFusion, rank=0), "rank=0 must be at least 1"),
        (lambda: built(BottleneckFusion, num_tokens=0), "num_tokens=0"),
        (lambda: built(BottleneckFusion, heads=3), "attention with 3 heads needs a width that they divide"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_null_encoder_leaves_its_input_out() -> None:
    model = ConcatFusion({"image": INPUTS["image"]}, {**ENCODERS, "track": None}, width=8)
    assert model.inputs == ("image",)
    assert model.run({"image": torch.rand(2, 1, 8, 8)})["fused"].shape == (2, 8)
