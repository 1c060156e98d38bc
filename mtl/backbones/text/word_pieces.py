"""A text backbone with a second level: the pieces of every word, each with what the backbone knows of its word.

Levels: the levels of the text backbone, and `pieces`, a sequence of all pieces, word after word. A decoder that reads
them can copy a name that no training sentence has, which one vector for a word cannot spell.
Shapes: B samples, T words, L pieces of a word, C channels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone, only_input
from mtl.backbones.text.bilstm import BiLSTM
from mtl.features import MASK, Features, FeatureSpec
from mtl.functional.positions import positions
from mtl.inputs.pieces import MOST_PIECES
from mtl.inputs.tokens import PADDING
from mtl.task import Inputs, InputSpec


class WordPieces(Backbone):
    """A text backbone, and embeddings of pieces with the context of their words.

    Heads that read words name the level of the text backbone, `t1`; a translation names `pieces`.

    Args:
        inputs: what the data module declares; one input of pieces, and what the text backbone takes.
        words: the text backbone, a class with its own arguments; a `BiLSTM` by default.
        width: channels of the level `pieces`, an even number.
        dropout: share of its values dropped in training, 0 to 1.
    """

    one_graph = False  # the text backbone may have recurrent layers

    def __init__(
        self,
        inputs: Inputs,
        words: Callable[[dict[str, InputSpec]], Backbone] | None = None,
        width: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"WordPieces: width={width} must be an even number above 0.")
        spec = only_input(inputs, "pieces", "WordPieces")
        of_words = {name: other for name, other in inputs.items() if other.kind != "pieces"}
        self.words = (words or BiLSTM)(of_words)
        sequences = self.words.spec.of("sequence")
        if not sequences:
            raise ValueError(f"WordPieces: {self.words.title} gives no sequence. Take a text backbone as `words`.")
        self.level = sequences[-1]
        self.inputs = (spec.name, *self.words.inputs)
        self.embedding = nn.Embedding(spec.channels, width, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.place = nn.Embedding(MOST_PIECES, width)
        self.before = nn.Linear(width, width, bias=False)
        self.context = nn.Linear(self.words.spec.channels[self.level], width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        own = self.words.spec
        self.spec = FeatureSpec(
            own.channels | {"pieces": width}, own.strides | {"pieces": 1}, own.layouts | {"pieces": "sequence"}
        )

    def forward(self, pieces_BTL: Tensor, *inputs: Tensor) -> Features:
        """Levels of the text backbone, and `pieces` [B,T*L,C].

        Args:
            pieces_BTL: indices of pieces, 0 behind the end of a word.
            inputs: what the text backbone takes.
        """
        features: Features = self.words(*inputs)
        words_BTC = self.context(features[self.level])
        steps = max(words_BTC.shape[1], pieces_BTL.shape[1])
        words_BTC = F.pad(words_BTC, (0, 0, 0, steps - words_BTC.shape[1]))
        pieces_BTL = F.pad(pieces_BTL, (0, 0, 0, steps - pieces_BTL.shape[1]))
        width = self.embedding.embedding_dim
        values_BTLC = self.embedding(pieces_BTL) * width**0.5
        # each knows the piece before it in its word, so that a decoder finds what follows the one that it wrote last
        values_BTLC = values_BTLC + self.before(F.pad(values_BTLC, (0, 0, 1, -1)))
        values_BTLC = values_BTLC + self.place(torch.arange(pieces_BTL.shape[2], device=pieces_BTL.device))
        order_TC = positions(steps, width, pieces_BTL.device).to(values_BTLC)
        values_BTLC = values_BTLC + (words_BTC + order_TC)[:, :, None]
        values_BNC = self.dropout(self.norm(values_BTLC)).flatten(1, 2)
        real_BN = (pieces_BTL != PADDING).flatten(1)
        return features | {"pieces": values_BNC * real_BN[..., None], "pieces" + MASK: real_BN}
