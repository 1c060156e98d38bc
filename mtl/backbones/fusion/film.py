"""FiLM fusion: the maps of one input, changed by what the others say; heads that need maps read these.

Source: Perez, Strub, de Vries, Dumoulin, Courville, "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI
2018: a residual block whose second convolution is normed without a factor and a shift of its own, and gets those from
the question. Unlike in the paper the blocks stand behind each level of any encoder, one by default and not four, and
take no maps of coordinates; as in the authors' code a factor is 1 + gamma.
Shapes: B samples, M inputs, C channels, D channels of the condition, H x W cells.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.fusion import Rows, VectorFusion
from mtl.features import MASK, Features, FeatureSpec, as_rows, mask_of
from mtl.task import Inputs, InputSpec


class FiLMFusion(VectorFusion):
    """Levels: the maps of one encoder, each changed by the vectors of the others; and `fused`, which has seen all.

    Where the input of the maps is absent, every cell holds a learned token before it is changed.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name.
        width: channels of `fused` and of each input's vector.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.
        maps_of: the input whose maps are changed; by default the first one whose encoder gives maps.
        blocks: residual blocks behind each level; the paper uses 4 behind one level.

    Raises:
        ValueError: if no encoder gives maps, or for fewer than one block.
    """

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
        maps_of: str | None = None,
        blocks: int = 1,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        with_maps = [name for name in self.names if self._encoder(name).spec.of("map")]
        if blocks < 1:
            raise ValueError(f"FiLMFusion: blocks={blocks} must be at least 1.")
        if not with_maps or maps_of not in (None, *with_maps):
            raise ValueError(
                f"FiLMFusion changes maps; the inputs whose encoders give maps are {', '.join(with_maps) or 'none'}, "
                f"and maps_of is {maps_of or 'not set'}. Name one of them, or take another fusion."
            )
        self.maps_of = maps_of or with_maps[0]
        self.others = [name for name in self.names if name != self.maps_of]
        own = self._encoder(self.maps_of).spec
        channels = {level: own.channels[level] for level in own.of("map")}
        if self.level in channels:
            raise ValueError(f"FiLMFusion: the encoder of {self.maps_of!r} has a level {self.level!r}; rename it.")
        self.deepest_map = max(channels, key=lambda level: own.strides[level])
        self.project[self.maps_of] = nn.Linear(2 * channels[self.deepest_map], width)
        self.spec = FeatureSpec(
            {self.level: width, **channels},
            {level: own.strides[level] for level in channels},
            {self.level: "vector"},
        )
        said = max(1, len(self.others)) * width
        self.blocks = nn.ModuleDict(
            {level: nn.ModuleList(_FiLMBlock(own, said) for _ in range(blocks)) for level, own in channels.items()}
        )
        self.cells = nn.ParameterDict({level: nn.Parameter(0.02 * torch.randn(own)) for level, own in channels.items()})
        self.layer = nn.Linear(len(self.names) * width, width)

    def join_features(self, features: Mapping[str, Features], rows: Mapping[str, Rows], present_BM: Tensor) -> Features:
        vectors = {name: self.vector(name, rows[name], present_BM) for name in self.others}
        # a picture alone is changed in the same way in every sample
        alone_BC = self.tokens[self.maps_of].expand(present_BM.shape[0], -1)
        said_BD = torch.cat([vector_BC.relu() for vector_BC in vectors.values()], 1) if vectors else alone_BC
        here_B = present_BM[:, self.names.index(self.maps_of)]
        given: Features = features[self.maps_of]
        changed: Features = {}
        masks: Features = {}
        for level, blocks in self.blocks.items():
            cell_C = self.cells[level].to(given[level].dtype)
            x_BCHW = torch.where(here_B[:, None, None, None], given[level], cell_C[:, None, None])
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x_BCHW = block(x_BCHW, said_BD)
            changed[level] = x_BCHW
            if (mask := mask_of(given, level)) is not None:
                masks[level + MASK] = mask
        seen_BNC = as_rows(changed[self.deepest_map], "map")
        deepest = mask_of(given, self.deepest_map)
        real_BN = torch.ones_like(seen_BNC[..., 0], dtype=torch.bool) if deepest is None else deepest.flatten(1)
        vectors[self.maps_of] = self.vector(self.maps_of, (seen_BNC, real_BN), present_BM)
        fused_BC = self.join(torch.stack([vectors[name] for name in self.names], 1))
        return {self.level: fused_BC, **changed, **masks}

    def join(self, vectors_BMC: Tensor) -> Tensor:
        return F.relu(self.layer(F.relu(vectors_BMC).flatten(1)))


class _FiLMBlock(nn.Module):
    """x + relu(FiLM(norm(conv(x)))), behind a 1 x 1 convolution with ReLU."""

    def __init__(self, width: int, said: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 1)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.film = nn.Linear(said, 2 * width)

    def forward(self, x_BCHW: Tensor, said_BD: Tensor) -> Tensor:
        gamma_BC, beta_BC = self.film(said_BD).chunk(2, 1)
        x_BCHW = F.relu(self.first(x_BCHW))
        normed_BCHW = self.norm(self.second(x_BCHW))
        return x_BCHW + F.relu((1 + gamma_BC)[..., None, None] * normed_BCHW + beta_BC[..., None, None])
