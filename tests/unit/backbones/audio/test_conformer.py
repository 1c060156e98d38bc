"""The conformer: a layer against the equations with the attention of torch, its reach, settings that do not fit."""

import pytest
import torch
import torch.nn.functional as F

from mtl.backbones.audio.conformer import Conformer
from mtl.task import InputSpec

INPUTS = {"audio": InputSpec("audio", "audio", channels=8, rate=8000)}


def small(**more: int) -> Conformer:
    torch.manual_seed(0)
    return Conformer(INPUTS, width=8, filters=2, layers=1, attention_heads=2, kernel=3, **more).eval()


@torch.no_grad()
def test_a_layer_is_that_of_the_paper_with_the_attention_of_torch() -> None:
    (layer,) = small().layers
    values = torch.randn(2, 6, 8)
    mask = torch.arange(6) < torch.tensor([[4], [6]])
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.copy_(layer.qkv.weight)
    theirs.in_proj_bias.copy_(layer.qkv.bias)
    theirs.out_proj.weight.copy_(layer.out.weight)
    theirs.out_proj.bias.copy_(layer.out.bias)
    x = values + 0.5 * layer.first(values)
    norm = layer.attention_norm(x)
    x = x + theirs(norm, norm, norm, key_padding_mask=~mask)[0]
    gated = F.glu(layer.before(layer.convolution_norm(x)), -1) * mask[..., None]
    x = x + layer.after(F.silu(layer.middle(layer.depthwise(gated.mT).mT)))
    expected = layer.last(x + 0.5 * layer.second(x))
    torch.testing.assert_close(layer(values, mask)[0][mask], expected[mask], atol=1e-5, rtol=1e-4)


def test_a_step_reads_the_whole_recording() -> None:
    mel = torch.randn(1, 80, 8, requires_grad=True)
    small()(mel, torch.ones(1, 80, dtype=torch.bool))["t1"][0, 0].sum().backward()
    assert mel.grad is not None
    assert (mel.grad[0].abs().sum(1) > 0).all()


@pytest.mark.parametrize("settings", [{"kernel": 4}, {"width": 9}, {"attention_heads": 3}, {"layers": 0}])
def test_settings_that_do_not_fit_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Conformer: width="):
        Conformer(INPUTS, **{"width": 8, **settings})
