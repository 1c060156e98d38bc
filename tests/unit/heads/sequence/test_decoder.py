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


def test_attention_is_that_of_torch_and_leaves_padding_out() -> None:
    built = head(layers=2).eval()
    features = {"t1": torch.randn(2, 5, 8), "t1_mask": torch.arange(5) < torch.tensor([[5], [3]])}
    outputs = built(features)
    shares = built.attention(outputs, {"tokens": torch.tensor([[2, 3, -1], [4, -1, -1]])})
    assert shares.shape == (2, 4, 5)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 4))
    assert not shares[1, :, 3:].any()
    first, last = built.layers
    values = first(built._embedded(torch.tensor([[5, 2, 3, 0], [5, 4, 0, 0]])), outputs["memory"], outputs["keys"])
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat((last.query.weight, last.memory.weight)))  # type: ignore[union-attr]
        reference.in_proj_bias.copy_(torch.cat((last.query.bias, last.memory.bias)))  # type: ignore[union-attr]
    queries = last.norms[1](last._before(values))  # type: ignore[index, operator]
    _, expected = reference(queries, outputs["memory"], outputs["memory"], key_padding_mask=~outputs["keys"])
    torch.testing.assert_close(shares, expected)
