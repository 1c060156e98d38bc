"""Decoder head: a text, one token after the other, from features of any layout (translation, captions, transcripts).

In training it sees the true tokens before each token (teacher forcing); cross-entropy over tokens and the end mark.
Shapes: B samples, L tokens, S = L + 1 steps, N rows of the features, C channels, V tokens of the vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec, as_rows, mask_of
from mtl.functional.positions import positions
from mtl.functional.sequence.beam_search import beam_search
from mtl.functional.sequence.greedy_loop import greedy_loop
from mtl.heads.head import Head, Outputs
from mtl.heads.sequence.decoder_layers import DecoderLayer
from mtl.metrics.task_metrics import Predictions
from mtl.metrics.text import TextMetrics
from mtl.targets.text import END
from mtl.task import Task


class DecoderHead(Head):
    """A text, decoded from one level of the features by a transformer.

    Args:
        task: a task of kind `text`.
        features: widths and layouts of the features.
        level: what is read; the first sequence by default, or else the deepest level.
        width: channels of the decoder; an even multiple of `attention_heads`.
        layers: number of layers.
        attention_heads: heads of each attention.
        dropout: share of values dropped in training, 0 to 1.
        label_smoothing: share of the target spread over the vocabulary, 0 to 1.
        most_tokens: longest text that is predicted.
        beams: texts that are followed at once in decoding; 1 takes the best token at each step.
        length_penalty: how far beams prefer long texts; 0 not at all.
    """

    kinds = ("text",)
    monitor = ("chrf", "max")
    attends = True
    decodes_in_steps = True

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        width: int = 128,
        layers: int = 1,
        attention_heads: int = 4,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        most_tokens: int = 32,
        beams: int = 1,
        length_penalty: float = 0.6,
    ) -> None:
        super().__init__(task, features)
        if min(layers, most_tokens, beams) < 1 or beams > task.num_classes or width % attention_heads or width % 2:
            raise ValueError(
                f"head {task.name!r}: layers={layers}, most_tokens={most_tokens} and beams={beams} must be at least 1, "
                f"beams at most the {task.num_classes} tokens, and width={width} an even multiple of "
                f"attention_heads={attention_heads}."
            )
        sequences = features.of("sequence")
        (self.level,) = features.require(
            [level or (sequences[0] if sequences else features.deepest)], f"head {task.name!r}"
        )
        self.label_smoothing = label_smoothing
        self.most_tokens, self.beams, self.length_penalty = most_tokens, beams, length_penalty
        self.exportable = beams == 1
        self.memory = nn.Linear(features.channels[self.level], width)
        # one row more than the vocabulary: what every text begins with; the output shares the others
        self.embedding = nn.Embedding(task.num_classes + 1, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.layers = nn.ModuleList(DecoderLayer(width, attention_heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(task.num_classes))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Features) -> Outputs:
        memory_BNC = as_rows(features[self.level], self.features.layouts[self.level])
        out = {"memory": self.memory(memory_BNC).float()}
        mask = mask_of(features, self.level)
        if mask is not None and self.features.layouts[self.level] != "vector":
            mask_BN = mask.flatten(1)
            # attention to nothing is NaN: a sample without a real cell looks at its first one
            out["keys"] = mask_BN | (
                ~mask_BN.any(1, keepdim=True) & (torch.arange(mask_BN.shape[1], device=mask_BN.device) == 0)
            )
        return out

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        labelled_B1 = labelled(batch, self.task)[:, None]
        tokens_BL = torch.where(labelled_B1, batch[self.task.name], -1)
        length_B1 = (tokens_BL >= 0).sum(1, keepdim=True)
        begin_B1 = torch.full_like(length_B1, self.task.num_classes)
        seen_BS = torch.cat((begin_B1, tokens_BL.clamp(min=END)), 1)
        # END is 0, which also stands behind it
        next_BS = F.pad(tokens_BL, (0, 1), value=END).clamp(min=END)
        known_BS = (torch.arange(seen_BS.shape[1], device=seen_BS.device) <= length_B1) & labelled_B1
        logits_BSV = self._logits(seen_BS, outputs["memory"], outputs.get("keys"))
        losses_BS = F.cross_entropy(
            logits_BSV.transpose(1, 2), next_BS, reduction="none", label_smoothing=self.label_smoothing
        )
        # by the tokens of all ranks, whose texts differ in length
        return (losses_BS * known_BS).sum() / global_count(known_BS.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        memory_BNC, keys_BN = outputs["memory"], outputs.get("keys")
        if torch.compiler.is_exporting() and self.beams == 1:
            return self._decode_in_graph(memory_BNC, keys_BN)

        def next_log_probs(prefix_NS: Tensor, sample_N: Tensor) -> Tensor:
            keys = None if keys_BN is None else keys_BN[sample_N]
            return self._logits(prefix_NS, memory_BNC[sample_N], keys)[:, -1].log_softmax(-1)

        tokens_BL, log_B = beam_search(
            next_log_probs,
            memory_BNC.shape[0],
            begin=self.task.num_classes,
            end=END,
            most_steps=self.most_tokens,
            beams=self.beams,
            length_penalty=self.length_penalty,
            device=memory_BNC.device,
        )
        steps_B = (tokens_BL >= 0).sum(1) + 1
        return {"tokens": tokens_BL, "scores": (log_B / steps_B).exp()}

    @torch.no_grad()
    def attention(self, outputs: Outputs, predictions: Predictions) -> Tensor:
        memory_BNC, keys_BN = outputs["memory"], outputs.get("keys")
        tokens_BL = predictions["tokens"]
        begin_B1 = torch.full_like(tokens_BL[:, :1], self.task.num_classes)
        values_BSC = self._embedded(torch.cat((begin_B1, tokens_BL.clamp(min=END)), 1))
        for layer in self.layers[:-1]:
            values_BSC = layer(values_BSC, memory_BNC, keys_BN)
        last = self.layers[-1]
        assert isinstance(last, DecoderLayer)
        return last.attention(values_BSC, memory_BNC, keys_BN)

    def metrics(self) -> TextMetrics:
        return TextMetrics(self.task)

    def _decode_in_graph(self, memory_BNC: Tensor, keys_BN: Tensor | None) -> Predictions:
        def next_log_probs(prefix_BS: Tensor, place_1: Tensor) -> Tensor:
            values_BSC = self._values(prefix_BS, memory_BNC, keys_BN)
            return self._vocabulary(values_BSC.index_select(1, place_1))[:, 0].log_softmax(-1)

        tokens_BL, log_B = greedy_loop(
            next_log_probs, memory_BNC, begin=self.task.num_classes, end=END, most_steps=self.most_tokens
        )
        return {"tokens": tokens_BL, "scores": (log_B / ((tokens_BL >= 0).sum(1) + 1)).exp()}

    def _logits(self, seen_BS: Tensor, memory_BNC: Tensor, keys_BN: Tensor | None) -> Tensor:
        return self._vocabulary(self._values(seen_BS, memory_BNC, keys_BN))

    def _values(self, seen_BS: Tensor, memory_BNC: Tensor, keys_BN: Tensor | None) -> Tensor:
        values_BSC = self._embedded(seen_BS)
        for layer in self.layers:
            values_BSC = layer(values_BSC, memory_BNC, keys_BN)
        made_BSC: Tensor = values_BSC
        return made_BSC

    def _embedded(self, seen_BS: Tensor) -> Tensor:
        width = self.embedding.embedding_dim
        values_BSC = self.embedding(seen_BS) * width**0.5
        made_BSC: Tensor = self.dropout(values_BSC + positions(seen_BS.shape[1], width, seen_BS.device).to(values_BSC))
        return made_BSC

    def _vocabulary(self, values_BSC: Tensor) -> Tensor:
        weight_VC = self.embedding.weight[: self.task.num_classes]
        return F.linear(self.norm(values_BSC), weight_VC, self.bias).float()
