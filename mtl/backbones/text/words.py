"""Embeddings of words by their index and by their spelling, as first layers of text backbones.

Source of the character filters: Ma, Hovy, "End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF", ACL 2016.
Shapes: B samples, T steps, L letters of a word, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import MASK, Features, FeatureSpec
from mtl.inputs.tokens import PADDING, UNKNOWN
from mtl.task import Inputs


class Words(nn.Module):
    """Embedding of words; in training some become unknown, so that the unknown word is learned.

    Args:
        vocabulary: size of the vocabulary.
        width: of the embedding.
        dropout: share of words that become unknown in training, 0 to 1.
    """

    def __init__(self, vocabulary: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.dropout = dropout

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Embeddings [B,T,C].

        Args:
            tokens_BT: indices.
        """
        if self.training and self.dropout:
            lost_BT = (torch.rand(tokens_BT.shape, device=tokens_BT.device) < self.dropout) & (tokens_BT != PADDING)
            tokens_BT = tokens_BT.masked_fill(lost_BT, UNKNOWN)
        embedded: Tensor = self.embedding(tokens_BT)
        return embedded


class Spelling(nn.Module):
    """Filters over three characters of a word, and the largest value of each in the word.

    Args:
        alphabet: size of the alphabet.
        embedding: width of the embedding of characters.
        filters: number of filters.
    """

    def __init__(self, alphabet: int, embedding: int, filters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, embedding, padding_idx=PADDING)
        self.filters = nn.Conv1d(embedding, filters, 3, padding=1)

    def forward(self, letters_BTL: Tensor) -> Tensor:
        """One vector for each word, 0 for a word without letters, [B,T,C].

        Args:
            letters_BTL: indices of characters, 0 behind the end of a word.
        """
        letters_NL = letters_BTL.flatten(0, 1)
        real_NL = letters_NL != PADDING
        values_NCL = self.filters(self.embedding(letters_NL).transpose(1, 2))
        # the cell behind a word still sees its last letter
        values_NCL = values_NCL.masked_fill(~real_NL[:, None], torch.finfo(values_NCL.dtype).min)
        best_NC: Tensor = torch.where(real_NL.any(1, keepdim=True), values_NCL.amax(-1), 0)
        return best_NC.view(*letters_BTL.shape[:2], -1)


class WordsAndSpelling(nn.Module):
    """Both, side by side.

    Args:
        words: embedding of words.
        spelling: the vector of their letters.
    """

    def __init__(self, words: nn.Module, spelling: nn.Module) -> None:
        super().__init__()
        self.words = words
        self.spelling = spelling

    def forward(self, packed_BTL: Tensor) -> Tensor:
        """Embeddings [B,T,C].

        Args:
            packed_BTL: what `with_spelling` makes.
        """
        return torch.cat((self.words(packed_BTL[..., 0]), self.spelling(packed_BTL[..., 1:])), -1)


@dataclass(frozen=True)
class Embeddings:
    """First layer of a text backbone.

    Args:
        layer: takes what `with_spelling` makes, and gives [B,T,C].
        width: its channels C.
        inputs: names of the prepared inputs that `with_spelling` takes, in order.
    """

    layer: nn.Module
    width: int
    inputs: tuple[str, ...]


def embeddings(
    inputs: Inputs, who: str, width: int, word_dropout: float, character_embedding: int, character_filters: int
) -> Embeddings:
    """Embedding of the tokens of a data set, and of their characters where it gives them.

    Args:
        inputs: what the data module declares.
        who: the backbone, for messages.
        width: of the embedding of words.
        word_dropout: share of words that become unknown in training.
        character_embedding: width of the embedding of characters.
        character_filters: filters over the characters of a word; 0 ignores characters.

    Raises:
        ValueError: if there is not one input of tokens, or more than one of characters.
    """
    tokens = only_input(inputs, "tokens", who)
    names = (tokens.name, tokens.name + MASK)
    words = Words(tokens.channels, width, word_dropout)
    if not character_filters or not any(spec.kind == "characters" for spec in inputs.values()):
        return Embeddings(words, width, names)
    letters = only_input(inputs, "characters", who)
    spelling = Spelling(letters.channels, character_embedding, character_filters)
    return Embeddings(WordsAndSpelling(words, spelling), width + character_filters, (*names, letters.name))


class TextBackbone(StagedBackbone):
    """What text backbones share: words and letters come in as one tensor, and the last stage is the level `t1`."""

    def begin(self, *inputs: Tensor) -> State:
        return with_spelling(*inputs)

    def finish(self, outputs: Sequence[State]) -> Features:
        values, mask = outputs[-1]
        return {"t1": values} if mask is None else {"t1": values * mask[..., None], "t1" + MASK: mask}

    def declare(self, widths: Sequence[int]) -> None:
        """Set the widths of the stages, of which the last one is the width of `t1`.

        Args:
            widths: one for each stage.
        """
        channels = {f"s{index}": width for index, width in enumerate(widths)}
        self.stage_spec = FeatureSpec(channels, layouts=dict.fromkeys(channels, "sequence"))
        self.spec = FeatureSpec({"t1": widths[-1]}, layouts={"t1": "sequence"})


def with_spelling(tokens_BT: Tensor, mask_BT: Tensor | None = None, letters_BTL: Tensor | None = None) -> State:
    """What a first stage takes: words alone, or words and letters as one tensor [B,T,1+L]; and the mask.

    Args:
        tokens_BT: indices of words.
        mask_BT: which steps are real.
        letters_BTL: indices of their letters.
    """
    if letters_BTL is None:
        return tokens_BT, mask_BT
    return torch.cat((tokens_BT[..., None], letters_BTL), -1), mask_BT
