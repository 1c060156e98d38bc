"""`FusionBackbone`: several inputs, each with an encoder of its own, joined to one vector; any of them may be absent.

Level: `fused`, a vector. What an absent input would have given is replaced by a learned token, so that its encoder gets
an exact zero as gradient from that sample, and not none: DDP does not wait for it. In training inputs may be dropped at
random, so that the model learns to do without them.
Sources: Neverova, Wolf, Taylor, Nebout, "ModDrop", TPAMI 2016 (modality dropout); Ma, Ren, Zhao, Testuggine, Peng, "Are
Multimodal Transformers Robust to Missing Modality?", CVPR 2022 (what goes wrong without).
Shapes: B samples, N rows (steps, cells) of an input, C channels, M inputs.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.batch import PRESENT
from mtl.features import Features, FeatureSpec, as_rows, mask_of
from mtl.task import Inputs, InputSpec

Rows = tuple[Tensor, Tensor]  # [B,N,C], and which are real, bool [B,N]


class FusionBackbone(Backbone):
    """Encoders, and what joins them; a subclass writes `join_rows`, or is a `VectorFusion` and writes `join`.

    An encoder with batch norms sees stand-ins for absent inputs in its statistics; encoders without them do not mix
    samples.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name; null leaves an input out that a base config has.
        width: channels of `fused`.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.

    Raises:
        ValueError: for encoders and inputs that do not belong together, or a chance outside 0..1.
    """

    takes_absent = True
    level = "fused"

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        chosen = {name: make for name, make in encoders.items() if make is not None}
        if not chosen or set(chosen) != set(inputs):
            raise ValueError(
                f"{type(self).__name__} has encoders for {', '.join(chosen) or 'nothing'}; the data gives "
                f"{', '.join(inputs)}. Give each input an encoder under its name."
            )
        if not 0 <= modality_dropout < 1 or width < 1:
            raise ValueError(
                f"{type(self).__name__}: modality_dropout={modality_dropout} must lie within 0..1, below 1, and "
                f"width={width} be at least 1."
            )
        self.modality_dropout = modality_dropout
        self.encoders = nn.ModuleDict({name: make({name: inputs[name]}) for name, make in chosen.items()})
        self.names = list(chosen)
        self.levels = {name: self._encoder(name).spec.deepest for name in self.names}
        self.widths = {name: self._encoder(name).spec.channels[self.levels[name]] for name in self.names}
        self.inputs = tuple(dict.fromkeys(key for name in self.names for key in self._encoder(name).inputs))
        self.width = width
        self.spec = FeatureSpec({self.level: width}, layouts={self.level: "vector"})
        self.tokens = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in self.names})

    @abstractmethod
    def join_rows(self, rows: Mapping[str, Rows], present_BM: Tensor) -> Tensor:
        """One vector for each sample, [B,C], of what the encoders gave.

        Args:
            rows: values and mask of each input, as wide as its encoder.
            present_BM: which inputs each sample has.
        """

    def forward(self, *inputs: Tensor) -> Features:
        return self.run(dict(zip(self.inputs, inputs, strict=True)))

    def run(self, prepared: Mapping[str, Tensor]) -> Features:
        features = {name: self._encoder(name).run(prepared) for name in self.names}
        rows = {name: self._rows(name, features[name]) for name in self.names}
        present_BM = torch.stack([self._present(name, rows[name][0], prepared) for name in self.names], 1)
        if self.training and self.modality_dropout:
            present_BM = drop(present_BM, self.modality_dropout)
        return self.spec.check(self.join_features(features, rows, present_BM), self.title)

    def join_features(self, features: Mapping[str, Features], rows: Mapping[str, Rows], present_BM: Tensor) -> Features:
        """The levels of this backbone; `fused` alone, unless a subclass gives more.

        Args:
            features: all levels of each encoder.
            rows: values and mask of its deepest level.
            present_BM: which inputs each sample has.
        """
        return {self.level: self.join_rows(rows, present_BM)}

    def _rows(self, name: str, features: Features) -> Rows:
        encoder, level = self._encoder(name), self.levels[name]
        layout = encoder.spec.layouts[level]
        rows_BNC, mask = as_rows(features[level], layout), mask_of(features, level)
        if mask is None or layout == "vector":
            return rows_BNC, torch.ones(rows_BNC.shape[:2], dtype=torch.bool, device=rows_BNC.device)
        return rows_BNC, mask.flatten(1)

    @staticmethod
    def _present(name: str, rows_BNC: Tensor, prepared: Mapping[str, Tensor]) -> Tensor:
        present_B = prepared.get(PRESENT + name)
        return present_B if present_B is not None else torch.ones_like(rows_BNC[:, 0, 0], dtype=torch.bool)

    def _encoder(self, name: str) -> Backbone:
        encoder = self.encoders[name]
        assert isinstance(encoder, Backbone)
        return encoder


class VectorFusion(FusionBackbone):
    """Pools what each encoder gives to one vector, by mean and maximum, and joins the vectors."""

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        self.project = nn.ModuleDict({name: nn.Linear(2 * own, width) for name, own in self.widths.items()})

    @abstractmethod
    def join(self, vectors_BMC: Tensor) -> Tensor:
        """One vector for each sample, [B,C].

        Args:
            vectors_BMC: of each input, or its token.
        """

    def join_rows(self, rows: Mapping[str, Rows], present_BM: Tensor) -> Tensor:
        return self.join(torch.stack([self.vector(name, rows[name], present_BM) for name in self.names], 1))

    def vector(self, name: str, rows: Rows, present_BM: Tensor) -> Tensor:
        """The vector of one input, [B,C]; its token where it is absent.

        Args:
            name: the input.
            rows: values and mask.
            present_BM: which inputs each sample has.
        """
        here_B1 = present_BM[:, self.names.index(name), None]
        vector_BC = self.project[name](pooled(*rows))
        return torch.where(here_B1, vector_BC, self.tokens[name].to(vector_BC.dtype))


class RowFusion(FusionBackbone):
    """Gives the rows of each encoder one width; a row of what is absent is its token. A subclass lets rows attend."""

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        self.project = nn.ModuleDict({name: nn.Linear(own, width) for name, own in self.widths.items()})

    @abstractmethod
    def attend(self, rows: list[Rows]) -> Tensor:
        """One vector for each sample, [B,C].

        Args:
            rows: of each input, all of one width.
        """

    def join_rows(self, rows: Mapping[str, Rows], present_BM: Tensor) -> Tensor:
        ready = []
        for place, name in enumerate(self.names):
            values_BNC, mask_BN = rows[name]
            here_B1 = present_BM[:, place, None]
            values_BNC = self.project[name](values_BNC)
            values_BNC = torch.where(here_B1[..., None], values_BNC, self.tokens[name].to(values_BNC.dtype))
            # one row stands for what is absent: their number would follow the other samples of the batch
            first_BN = torch.arange(mask_BN.shape[1], device=mask_BN.device)[None] == 0
            ready.append((values_BNC, torch.where(here_B1, mask_BN, first_BN)))
        return self.attend(ready)


def drop(present_BM: Tensor, chance: float) -> Tensor:
    """Drop inputs at random; a sample that would lose all it has keeps them.

    Args:
        present_BM: which inputs each sample has, bool.
        chance: for each input, 0 to 1.
    """
    kept_BM = present_BM & (torch.rand(present_BM.shape, device=present_BM.device) >= chance)
    return torch.where(kept_BM.any(1, keepdim=True), kept_BM, present_BM)


def pooled(rows_BNC: Tensor, mask_BN: Tensor) -> Tensor:
    """Mean and maximum over the real rows, [B,2C].

    Args:
        rows_BNC: values.
        mask_BN: which are real.
    """
    mask_BN1 = mask_BN[..., None]
    mean_BC = (rows_BNC * mask_BN1).sum(1) / mask_BN1.sum(1).clamp(min=1)
    most_BC = rows_BNC.masked_fill(~mask_BN1, torch.finfo(rows_BNC.dtype).min).amax(1)
    return torch.cat((mean_BC, most_BC), 1)
