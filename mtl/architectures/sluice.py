"""Sluice networks: columns in subspaces, of which every subspace reads all others behind every stage.

Source: Ruder et al., "Latent Multi-task Architecture Learning", AAAI 2019, arXiv:1705.08142: the channels of a column
are G subspaces; behind every stage each becomes a sum, under alpha [KG,KG], of all subspaces of all columns. What a
task reads is a sum of all stages of its column under beta_k, and ||W_g W_h^T||^2 of the weights that write two
subspaces of a stage is penalised. The authors' code knows LSTMs of equal width and two subspaces, and penalises two
recurrent matrices of each; its alpha starts with rows that sum to 2. Here any trunk in stages will do: a stage of
another width passes through a linear layer on its way into the sum under beta, rows of alpha sum to 1 at the start, and
the penalty is on weights that read what a layer is given.
Shapes: K tasks, G subspaces, S stages, C channels, R inputs of a unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mtl.architectures.parts.columns import Columns, mixed
from mtl.architectures.parts.memo import Memo
from mtl.architectures.parts.stages import pointwise
from mtl.backbones.backbone import Backbone, State
from mtl.features import Features, FeatureSpec

_GATES = {"LSTM": 4, "GRU": 3}


class Sluice(Columns):
    """A column for each task; their subspaces are mixed behind every stage, and each task weighs its stages.

    Columns are copies of the backbone; the cut is the levels of each, which one task alone reads. A stage whose width
    `subspaces` does not divide is one subspace.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.
        subspaces: parts G of the channels of a stage.
        own: share of a subspace in its next input, at the start; the rest is spread over all others.
        last: share of the last stage in what a task reads, at the start; the rest is spread over the stages before it.
        orthogonality: weight of the penalty on weights of one stage that read the same in two subspaces.

    Raises:
        ValueError: for a number out of range, or a backbone that is one piece.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        subspaces: int = 2,
        own: float = 0.9,
        last: float = 0.9,
        orthogonality: float = 0.01,
    ) -> None:
        super().__init__(backbone, names)
        if subspaces < 1 or not (0 <= own <= 1 and 0 <= last <= 1) or orthogonality < 0:
            raise ValueError(
                f"Sluice: subspaces={subspaces} must be at least 1, own={own} and last={last} lie within 0..1, and "
                f"orthogonality={orthogonality} be at least 0."
            )
        spec, number = self.trunk.stage_spec, len(names)
        self.orthogonality, self.memo = orthogonality, Memo()
        self.subspaces = [1 if width % subspaces else subspaces for width in spec.channels.values()]
        self.alphas = nn.ParameterList(_near_identity(number * parts, own) for parts in self.subspaces)
        self.below = _stages_below(spec)
        self.betas = nn.ParameterList(_shares(len(self.below), last) for _ in names)
        widths, layout = list(spec.channels.values()), list(spec.layouts.values())[-1]
        self.project = nn.ModuleList(
            nn.ModuleList(
                nn.Identity()
                if widths[stage] == widths[-1]
                else pointwise(layout, widths[stage], widths[-1], bias=False)
                for stage in self.below
            )
            for _ in names
        )

    def mix(self, values: Sequence[Tensor], stage: int) -> list[Tensor]:
        layout, parts = list(self.trunk.stage_spec.layouts.values())[stage], self.subspaces[stage]
        axis = 1 if layout == "map" else -1
        pieces = [piece for value in values for piece in value.chunk(parts, axis)]
        pieces = mixed(pieces, self.alphas[stage], layout)
        if parts == 1:
            return pieces
        return [torch.cat(pieces[first : first + parts], axis) for first in range(0, len(pieces), parts)]

    def leave(self, outputs: list[State], index: int) -> list[State]:
        if not self.below:
            return outputs
        last, mask = outputs[-1]
        beta_S = self.betas[index].to(last.dtype)
        total = beta_S[-1] * last
        for place, stage in enumerate(self.below):
            values = outputs[stage][0]
            if values.ndim == 4 and values.shape[-2:] != last.shape[-2:]:
                values = F.interpolate(values, size=last.shape[-2:], mode="nearest")  # as a strided shortcut does
            total = total + beta_S[place] * self.project.get_submodule(f"{index}.{place}")(values)
        return [*outputs[:-1], (total, mask)]

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        if self.orthogonality and self.training:
            # here, where weights that are sharded over ranks are whole
            self.memo.overlap = self.overlap()
        return super().cut(prepared)

    def penalty(self) -> Tensor:
        if not self.orthogonality:
            return torch.zeros_like(self.alphas[0][0, 0])
        overlap: Tensor = self.memo.overlap if self.training else self.overlap()
        return self.orthogonality * overlap

    def overlap(self) -> Tensor:
        """Sum of ||W_g W_h^T||^2 over columns, stages, weights and pairs of subspaces."""
        total = torch.zeros_like(self.alphas[0][0, 0])
        widths = self.trunk.stage_spec.channels.values()
        stages = zip(*(self.column(index).stages() for index in range(len(self.columns))), strict=True)
        for columns, width, parts in zip(stages, widths, self.subspaces, strict=True):
            if parts > 1:
                # columns are alike: one product for all of them
                for weights in zip(*(_writers(stage, width) for stage in columns), strict=True):
                    for one_KCR, other_KCR in combinations(torch.stack(weights).chunk(parts, 1), 2):
                        total = total + (one_KCR @ other_KCR.mT).square().sum()
        return total


def _writers(stage: nn.Module, width: int) -> Iterator[Tensor]:
    """Weights [C,R] whose rows make the channels that a stage gives."""
    recurrent: list[nn.RNNBase] = []
    for module in stage.modules():
        if isinstance(module, nn.RNNBase):
            recurrent.append(module)
        elif isinstance(module, (nn.Linear, _ConvNd)):
            whole = getattr(module, "groups", 1) == 1 and not getattr(module, "transposed", False)
            if whole and module.weight.shape[0] == width:
                yield module.weight.flatten(1)
    if sum(module.hidden_size for module in recurrent) == width:
        # channels are the directions one behind the other, and each gate writes all of them
        gates = [module.get_parameter("weight_ih_l0").chunk(_GATES.get(module.mode, 1)) for module in recurrent]
        for parts in zip(*gates, strict=True):
            yield torch.cat(parts)


def _stages_below(spec: FeatureSpec) -> list[int]:
    """Stages before the last with the cells of the last, or with the cells of a larger map."""
    *below, last = spec.channels
    return [
        stage
        for stage, level in enumerate(below)
        if spec.layouts[level] == spec.layouts[last]
        and (spec.layouts[level] == "map" or spec.strides[level] == spec.strides[last])
    ]


def _near_identity(number: int, own: float) -> Tensor:
    # a single subspace has nothing to mix
    spread = torch.full((number, number), (1 - own) / max(1, number - 1))
    return spread.fill_diagonal_(own if number > 1 else 1.0)


def _shares(below: int, last: float) -> Tensor:
    """Of the stages below the last, and of the last."""
    return torch.tensor([*[(1 - last) / max(1, below)] * below, last if below else 1.0])
