"""Padding of sequences at the level of the whole model: 16 more steps change no loss, gradient, Gramian or metric."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.backbones.backbone import Backbone
from mtl.balancing.engine.balancer import Balancer
from mtl.balancing.upgrad import UPGrad
from mtl.batch import Batch, collate
from mtl.features import MASK
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.characters import CharactersInput
from mtl.inputs.input import input_kind
from mtl.inputs.tokens import TokensInput
from mtl.metrics.task_metrics import Predictions
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task
from tests.contract.kit.found import found
from tests.contract.kit.trunks import needed

WORDS = {"words": InputSpec("words", "tokens", 9)}
SPELLED = WORDS | {"characters": InputSpec("characters", "characters", 7)}
TASKS = {
    "intent": Task("intent", "classification", class_names=("a", "b", "c")),
    "slots": Task("slots", "tags", class_names=("O", "B-x", "I-x", "B-y", "I-y")),
}
LENGTHS = (3, 8, 1, 6)
MORE_STEPS, MORE_LETTERS = 16, 3


def gives_sequences(cls: type[Backbone]) -> bool:
    if needed(cls):  # it joins other backbones
        return False
    try:
        return bool(cls(WORDS).spec.of("sequence"))  # type: ignore[call-arg]
    except (ValueError, ImportError):
        return False


BACKBONES = [cls for cls in found(Backbone) if gives_sequences(cls)]  # type: ignore[type-abstract]
every_text_backbone = pytest.mark.parametrize("cls", BACKBONES, ids=lambda cls: cls.__name__)


def model(cls: type[Backbone], inputs: dict[str, InputSpec]) -> MultiTaskModel:
    torch.manual_seed(0)
    backbone = cls(inputs)  # type: ignore[call-arg]
    heads = {
        "intent": ClassificationHead(TASKS["intent"], backbone.spec, pooling=["mean", "max", "attention"]),
        "slots": TaggingHead(TASKS["slots"], backbone.spec),
    }
    ready = {name: input_kind(spec)(spec) for name, spec in inputs.items()}
    return MultiTaskModel(backbone, heads, ready).eval()


def batch(inputs: dict[str, InputSpec]) -> Batch:
    draw = torch.Generator().manual_seed(1)
    samples: list[dict[str, Any]] = []
    for length in LENGTHS:
        sample: dict[str, Any] = {"words": torch.randint(1, 9, (length,), generator=draw)}
        if "characters" in inputs:
            sample["characters"] = torch.randint(1, 7, (length, 4), generator=draw)
        tags = torch.randint(5, (length,), generator=draw)
        samples.append(sample | {"intent": int(torch.randint(3, (), generator=draw)), "slots": tags})
    return collate(samples, TASKS, inputs)


def longer(short: Batch) -> Batch:
    long = dict(short)
    for name in ("words", "words" + MASK, "characters" + MASK):
        if name in short:
            long[name] = F.pad(short[name], (0, MORE_STEPS))
    if "characters" in short:
        long["characters"] = F.pad(short["characters"], (0, MORE_LETTERS, 0, MORE_STEPS))
    long["slots"] = F.pad(short["slots"], (0, MORE_STEPS), value=-100)
    return long


def measured(built: MultiTaskModel, of: Batch) -> dict[str, float]:
    found: dict[str, float] = {}
    predictions: dict[str, Predictions] = built.predict(of)
    for name in TASKS:
        metrics = built.head(name).metrics()
        metrics.update(predictions[name], of)
        found |= {f"{name}/{key}": float(value) for key, value in metrics.compute().items()}
    return found


def step(built: MultiTaskModel, of: Batch, at: str) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
    """Losses, Gramian and gradients of a balanced step."""
    built.zero_grad()
    balancer = Balancer(UPGrad(), built.partition(), at)  # type: ignore[arg-type]
    built.junction.node = balancer.node
    losses = built.losses(built(of), of)
    balancer.objective(losses).backward()
    built.junction.clear()
    assert balancer.node is not None
    assert balancer.node.gramian is not None
    gradients = {name: value.grad.clone() for name, value in built.named_parameters() if value.grad is not None}
    return losses, balancer.node.gramian, gradients


def test_backbones_of_text_are_found() -> None:
    assert BACKBONES


@every_text_backbone
@pytest.mark.parametrize("inputs", [WORDS, SPELLED], ids=["words", "letters"])
@pytest.mark.parametrize("at", ["features", "parameters"])
def test_more_padding_changes_nothing(cls: type[Backbone], inputs: dict[str, InputSpec], at: str) -> None:
    built, short = model(cls, inputs), batch(inputs)
    long = longer(short)
    assert long["words"].shape[1] == short["words"].shape[1] + MORE_STEPS
    (losses, gramian, gradients), (losses_2, gramian_2, gradients_2) = (step(built, of, at) for of in (short, long))
    torch.testing.assert_close(losses_2, losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gramian_2, gramian, rtol=1e-4, atol=1e-7)
    assert gramian.trace() > 0
    torch.testing.assert_close(gradients_2, gradients, rtol=1e-4, atol=1e-6)
    assert measured(built, long) == pytest.approx(measured(built, short))


def test_the_kinds_of_input_round_lengths_alike() -> None:
    for length in (1, 8, 9, 33):
        words = TokensInput.collate(WORDS["words"], [torch.ones(length, dtype=torch.long)])["words"]
        letters = CharactersInput.collate(SPELLED["characters"], [torch.ones(length, 2, dtype=torch.long)])[
            "characters"
        ]
        assert words.shape[1] == letters.shape[1]
