"""A model of audio with a CTC head: padding changes nothing, beams decode, and it learns a row of symbols."""

import numpy as np
import pytest
import torch

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.batch import Batch, collate
from mtl.features import FeatureSpec
from mtl.heads.sequence.ctc import CTCHead
from mtl.inputs.audio import AudioInput
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

INPUTS = {"audio": InputSpec("audio", "audio", 12, rate=8000)}
TASK = Task("said", "transcript", class_names=("<blank>", "a", "b", "c"))


def model(beams: int = 1) -> MultiTaskModel:
    torch.manual_seed(0)
    trunk = AudioConvolutions(INPUTS, width=16, filters=4, layers=2)
    return MultiTaskModel(
        trunk, {"said": CTCHead(TASK, trunk.spec, beams=beams)}, {"audio": AudioInput(INPUTS["audio"])}
    )


def batch(extra_seconds: float = 0) -> Batch:
    rng = np.random.default_rng(0)
    samples = [
        {"audio": torch.from_numpy(rng.normal(size=size)).float(), "said": torch.tensor(text)}
        for size, text in ((3000, [1, 2, 2]), (1700, [3]), (100, [1, 2, 3]))
    ]
    made = collate([*samples, {"audio": torch.ones(3000 + int(8000 * extra_seconds))}], {"said": TASK}, INPUTS)
    return {key: value[:3] for key, value in made.items() if isinstance(value, torch.Tensor)}


def test_more_padding_changes_no_loss_gradient_or_prediction() -> None:
    built = model().eval()
    found = []
    for of in (batch(), batch(0.5)):
        built.zero_grad()
        outputs = built(of)
        loss = built.losses(outputs, of)["said"]
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in built.parameters()], built.decode(outputs)["said"]))
    (short, gradients, predictions), (long, gradients_2, predictions_2) = found
    torch.testing.assert_close(long, short, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients_2, gradients, rtol=1e-4, atol=1e-6)
    steps = predictions["tokens"].shape[1]
    assert predictions_2["tokens"].shape[1] > steps
    assert torch.equal(predictions_2["tokens"][:, :steps], predictions["tokens"])
    torch.testing.assert_close(predictions_2["scores"], predictions["scores"])


def test_what_has_no_time_for_its_symbols_is_counted_and_adds_nothing() -> None:
    built, of = model().eval(), batch()
    metrics = built.head("said").metrics()
    metrics.update(built.predict(of)["said"], of)
    assert metrics.compute()["infeasible"].item() == pytest.approx(1 / 3)
    whole = built.losses(built(of), of)["said"]
    of["labelled/said"] = torch.tensor([True, True, False])
    torch.testing.assert_close(built.losses(built(of), of)["said"], whole)


def test_learns_what_is_said_and_beams_agree() -> None:
    built, of = model(), batch()
    of["labelled/said"] = torch.tensor([True, True, False])
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        built.losses(built(of), of)["said"].backward()
        optimizer.step()
    beams = model(beams=4)
    beams.load_state_dict(built.state_dict())
    for trained in (built, beams):
        tokens = trained.eval().predict(of)["said"]["tokens"]
        assert [[token for token in row if token >= 0] for row in tokens[:2].tolist()] == [[1, 2, 2], [3]]


def test_settings_that_mean_nothing_are_refused() -> None:
    spec = FeatureSpec({"t1": 4}, layouts={"t1": "sequence"})
    with pytest.raises(ValueError, match="beams=0"):
        CTCHead(TASK, spec, beams=0)
    with pytest.raises(ValueError, match="the blank and at least one symbol"):
        CTCHead(Task("said", "transcript", 1), spec)
