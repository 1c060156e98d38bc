"""Layers of text backbones against PyTorch's own, and how far they see."""

import torch
from torch import nn

from mtl.backbones.text.convolutions import TextConvolutions
from mtl.backbones.text.transformer import SelfAttention, TextTransformer
from mtl.backbones.text.words import Spelling
from mtl.functional.positions import positions
from mtl.heads.sequence.decoder_layers import DecoderLayer
from mtl.task import InputSpec

WORDS = {"words": InputSpec("words", "tokens", 9)}


def test_a_layer_equals_the_one_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = SelfAttention(8, 2, 16, 0.0).eval()
    theirs = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    for own, other in (
        (ours.out, theirs.self_attn.out_proj),
        (ours.feed_forward[0], theirs.linear1),
        (ours.feed_forward[3], theirs.linear2),
    ):
        other.load_state_dict(own.state_dict())
    values, mask = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [2], [4]])
    with torch.no_grad():
        found, expected = ours(values, mask)[0], theirs(values, src_key_padding_mask=~mask)
    torch.testing.assert_close(found[mask], expected[mask], rtol=1e-5, atol=1e-6)


def test_a_decoder_layer_equals_the_one_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = DecoderLayer(8, 2, 0.0).eval()
    theirs = nn.TransformerDecoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = ours.own.weight.data, ours.own.bias.data
    cross = theirs.multihead_attn
    cross.in_proj_weight.data = torch.cat((ours.query.weight, ours.memory.weight)).detach()
    cross.in_proj_bias.data = torch.cat((ours.query.bias, ours.memory.bias)).detach()
    for own, other in (
        (ours.own_out, theirs.self_attn.out_proj),
        (ours.memory_out, cross.out_proj),
        (ours.feed_forward[0], theirs.linear1),
        (ours.feed_forward[2], theirs.linear2),
    ):
        other.load_state_dict(own.state_dict())
    values, memory, keys = torch.randn(2, 4, 8), torch.randn(2, 3, 8), torch.tensor([[True] * 3, [True, False, False]])
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    with torch.no_grad():
        expected = theirs(values, memory, tgt_mask=causal, memory_key_padding_mask=~keys, tgt_is_causal=True)
        torch.testing.assert_close(ours(values, memory, keys), expected, rtol=1e-5, atol=1e-6)


def test_positions_are_those_of_the_paper() -> None:
    found = positions(4, 6)
    assert found[0].tolist() == [0, 1, 0, 1, 0, 1]
    torch.testing.assert_close(found[3, 2], torch.tensor(3 / 10_000 ** (2 / 6)).sin())
    torch.testing.assert_close(found[3, 5], torch.tensor(3 / 10_000 ** (4 / 6)).cos())


def test_a_sentence_without_words_is_finite() -> None:
    tokens = torch.zeros(2, 8, dtype=torch.long)
    for backbone in (TextTransformer(WORDS, 8, attention_heads=2), TextConvolutions(WORDS, 8)):
        features = backbone(tokens, tokens > 0)
        assert features["t1"].isfinite().all()
        features["t1"].sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())


def test_three_convolutions_see_seven_words_to_each_side() -> None:
    torch.manual_seed(0)
    backbone = TextConvolutions(WORDS, 8, layers=3).eval()
    tokens = torch.randint(1, 9, (1, 24))
    other = tokens.clone()
    other[0, 12] = tokens[0, 12] % 8 + 1
    changed = (backbone(tokens)["t1"] != backbone(other)["t1"]).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == list(range(5, 20))


def test_spelling_is_the_largest_filter_value_within_the_word() -> None:
    torch.manual_seed(0)
    spelling = Spelling(7, 4, 5)
    letters = torch.tensor([[[1, 2, 3, 0, 0], [0, 0, 0, 0, 0]]])
    found = spelling(letters)
    alone = spelling.filters(spelling.embedding(letters[0, :1, :3]).transpose(1, 2))
    torch.testing.assert_close(found[0, 0], alone[0].amax(-1))
    assert not found[0, 1].any()
