"""Decoder: teacher forcing by hand, memory of any layout, and texts that are learned by heart."""

import pytest
import torch
import torch.nn.functional as F

from mtl.features import FeatureSpec
from mtl.heads.sequence.decoder import DecoderHead
from mtl.task import Task

TASK = Task("english", "text", class_names=("<end>", "<unknown>", "a", "b", "c"))
SPEC = FeatureSpec({"t1": 8}, layouts={"t1": "sequence"})


def head(**options: object) -> DecoderHead:
    torch.manual_seed(0)
    return DecoderHead(TASK, SPEC, width=16, attention_heads=2, dropout=0.0, **options)  # type: ignore[arg-type]


def test_loss_is_the_mean_over_tokens_and_end_marks() -> None:
    built, features = head(), {"t1": torch.randn(2, 3, 8)}
    batch = {"english": torch.tensor([[2, 3, 4], [4, -100, -100]])}
    outputs = built(features)
    by_hand = []
    for row, text in enumerate(([2, 3, 4], [4])):
        for place, token in enumerate([*text, 0]):
            seen = torch.tensor([[5, *text[:place]]])
            logits = built._logits(seen, outputs["memory"][row : row + 1], None)[0, -1]
            by_hand.append(F.cross_entropy(logits, torch.tensor(token)))
    torch.testing.assert_close(built.loss(outputs, batch), torch.stack(by_hand).mean())


def test_texts_are_learned_by_heart() -> None:
    built, features = head(most_tokens=6, beams=2), {"t1": torch.randn(3, 4, 8)}
    batch = {"english": torch.tensor([[2, 3, 4, 2], [4, -100, -100, -100], [-100, -100, -100, -100]])}
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        built.loss(built(features), batch).backward()
        optimizer.step()
    found = built.eval().decode(built(features))
    assert found["tokens"].tolist() == [[2, 3, 4, 2, -1, -1], [4] + [-1] * 5, [-1] * 6]
    assert (found["scores"] > 0.8).all()
    metrics = built.metrics()
    metrics.update(found, batch)
    assert metrics.compute()["accuracy"] == 1


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="beams=9 must be at least 1, beams at most the 5 tokens"):
        head(beams=9)
    with pytest.raises(ValueError, match="asks for level 'c9'"):
        head(level="c9")
