"""Pieces beside words: a decoder that reads them copies words that it has never seen."""

import numpy as np
import pytest
import torch

from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.backbones.text.word_pieces import WordPieces
from mtl.batch import Batch, collate
from mtl.heads.sequence.decoder import DecoderHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import Inputs, InputSpec, Task

LETTERS = "abcdefghij"
PIECES = (*LETTERS, *(f"##{letter}" for letter in LETTERS))
INPUTS: Inputs = {
    "words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "w")),
    "pieces": InputSpec("pieces", "pieces", names=("<padding>", "<unknown>", *PIECES)),
}
COPY = Task("copy", "text", class_names=("<end>", "<unknown>", *PIECES))


def batch_of(words: list[str]) -> Batch:
    """Sentences of one word, which no vocabulary of words holds; its pieces have the same indices on both sides."""
    read = {name: input_kind(spec).reader(spec) for name, spec in INPUTS.items()}
    samples = [{name: reader([word]) for name, reader in read.items()} for word in words]
    samples = [sample | {"copy": sample["pieces"][0]} for sample in samples]
    return collate(samples, {"copy": COPY}, INPUTS)


def made(level: str) -> MultiTaskModel:
    torch.manual_seed(0)
    backbone = WordPieces(INPUTS, lambda inputs: BiLSTM(inputs, embedding=4, hidden=8, dropout=0.0), 32, dropout=0.0)
    head = DecoderHead(COPY, backbone.spec, level=level, width=32, dropout=0.0, most_tokens=6)
    return MultiTaskModel(backbone, {"copy": head}, {name: input_kind(spec)(spec) for name, spec in INPUTS.items()})


def words(number: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.permutation(list(LETTERS))[:4]) for _ in range(number)]


@pytest.mark.nightly
def test_a_decoder_of_pieces_copies_words_it_has_never_seen_and_one_of_words_cannot() -> None:
    new = batch_of(words(100, seed=1))
    right = {}
    for level in ("pieces", "t1"):
        model = made(level)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(400):
            batch = batch_of(words(32, seed=100 + step))
            optimizer.zero_grad()
            model.losses(model(batch), batch)["copy"].backward()
            optimizer.step()
        found = model.eval().predict(new)["copy"]["tokens"][:, :4]
        right[level] = float((found == new["copy"][:, :4]).all(1).float().mean())
    assert right["pieces"] > 0.9
    assert right["t1"] < 0.1


def test_each_piece_knows_the_one_before_it_and_none_of_another_word() -> None:
    backbone = made("pieces").trunk.backbone.eval()  # type: ignore[union-attr]
    one = torch.tensor([[[2, 12, 13], [3, 12, 0]]])
    other = torch.tensor([[[2, 14, 13], [3, 12, 0]]])
    inputs = torch.tensor([[1, 1]]), torch.ones(1, 2, dtype=torch.bool)
    first, second = (backbone(pieces, *inputs) for pieces in (one, other))  # type: ignore[operator]
    changed = (first["pieces"] != second["pieces"]).any(-1)[0]
    assert changed.tolist() == [False, True, True, False, False, False]
    assert first["pieces_mask"][0].tolist() == [True, True, True, True, True, False]


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="width=3 must be an even"):
        WordPieces(INPUTS, width=3)
    with pytest.raises(ValueError, match="one input of kind 'pieces'"):
        WordPieces({"words": INPUTS["words"]})
    with pytest.raises(ValueError, match="TableMLP gives no sequence"):
        WordPieces(INPUTS | {"table": InputSpec("table", "table", channels=3)}, TableMLP)
