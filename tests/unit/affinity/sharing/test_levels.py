import pytest
import torch

from mtl.affinity.sharing.layerwise_cka import linear_cka
from mtl.affinity.sharing.levels import run
from mtl.affinity.sharing.probes import probe
from mtl.affinity.sharing.subspaces import task_spaces
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.mtan import MTAN
from tests.contract.kit.architectures import batch, model
from tests.contract.kit.planted_share import rows, untrained


@pytest.mark.parametrize("ground", ["map", "sequence", "tokens", "vector"])
def test_an_edit_that_changes_nothing_leaves_the_outputs(ground: str) -> None:
    made, inputs = model(HardSharing, ground).eval(), batch(ground)
    with torch.no_grad():
        plain, expected = run(made, inputs), made(inputs)
        same = run(made, inputs, {level: lambda x: x + 0 for level in plain.values})
    assert list(plain.values)[:2] == ["stage 0", "stage 1"]
    for name, outputs in expected.items():
        for key, value in outputs.items():
            torch.testing.assert_close(same.outputs[name][key], value)
            torch.testing.assert_close(plain.outputs[name][key], value)


def test_a_level_without_its_values_changes_the_outputs_and_padding_is_no_row() -> None:
    made, inputs = model(HardSharing, "sequence").eval(), batch("sequence")
    with torch.no_grad():
        plain = run(made, inputs)
        edited = run(made, inputs, {"stage 1": torch.zeros_like})
    assert not torch.equal(plain.outputs["first"]["logits"], edited.outputs["first"]["logits"])
    assert plain.real("stage 1").shape[0] == int(inputs["words_mask"].sum())


def test_a_trunk_that_works_inside_the_stages_is_seen_at_its_cut_at_least() -> None:
    made = model(MTAN, "map").eval()
    with torch.no_grad():
        assert run(made, batch("map")).values


def test_directions_of_a_linear_network_are_its_weights() -> None:
    made = untrained(width=8)
    batches = rows(2, 0, 0)
    space = task_spaces(made, batches, ["a", "b"])["stage 2"]
    head = made.head("a").get_submodule("layers")
    (weight_1C,) = [p for p in head.parameters() if p.ndim == 2]
    own_C = space.root_CC @ weight_1C[0].detach().double()
    cosine = float((space.directions["a"][:, 0] @ own_C).abs() / own_C.norm())
    assert space.directions["a"].shape[1] == 1
    assert cosine == pytest.approx(1.0, abs=1e-6)
    values = run(made, batches[0]).values["stage 2"].detach()
    left_BC = space.without(space.directions["a"])(values)[:, 0] @ weight_1C[0].detach()
    assert float(left_BC.std()) < 1e-4, "nothing is left of the answer"


def test_cka_is_one_up_to_rotation_and_scale_and_small_for_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x_SD = torch.randn(400, 6, generator=generator, dtype=torch.float64)
    turn_DD = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    assert linear_cka(x_SD, 3 * x_SD @ turn_DD + 5) == pytest.approx(1.0)
    assert linear_cka(x_SD, torch.randn(400, 6, generator=generator, dtype=torch.float64)) < 0.05


def test_a_probe_reads_what_is_linear_and_not_what_is_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x_SD = torch.randn(200, 300, generator=generator, dtype=torch.float64)  # more features than samples
    y_SQ = x_SD[:, :2] + 0.1 * torch.randn(200, 2, generator=generator, dtype=torch.float64)
    assert probe(x_SD[:, :5], y_SQ, 100) > 0.97
    noise = probe(x_SD[:, 2:], y_SQ, 100)
    assert -0.6 < noise < 0.1
    y_SQ[150:] = torch.nan
    assert probe(x_SD[:, :5], y_SQ, 100) > 0.97
