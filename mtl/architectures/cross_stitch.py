"""Cross-stitch networks: a column for each task, mixed linearly behind every stage.

Source: Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, arXiv:1604.03539: x_i <- sum_j a_ij
x_j, with a_ii = 0.9 and the rest 0.1 at the start. LibMTL starts from ones, which multiplies the features by K at each
stage.
Shapes: K tasks, S stages.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.copies import backbone_copies
from mtl.architectures.stages import staged
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stage
from mtl.features import MASK, Features, FeatureSpec


class CrossStitch(Architecture):
    """A column for each task, mixed with the others behind every stage.

    Columns are copies of the backbone; the cut is the levels of each, which one task alone reads.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.
        own: share of a task's own column in what it goes on with, at the start; the rest is spread over the others.

    Raises:
        ValueError: for a share out of range, or a backbone that is one piece.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], own: float = 0.9) -> None:
        super().__init__(backbone, names)
        if not 0 <= own <= 1:
            raise ValueError(f"CrossStitch: own={own} is a share and must lie within 0..1.")
        trunk = staged(backbone, "CrossStitch")
        number, stages = len(names), len(trunk.stages())
        self.columns = nn.ModuleList(backbone_copies(trunk, number))
        # a single task has nothing to mix
        mixed = torch.full((number, number), (1 - own) / max(1, number - 1)).fill_diagonal_(own if number > 1 else 1.0)
        self.units = nn.Parameter(mixed.repeat(stages, 1, 1))
        places = {f"{name}/{level}": level for name in names for level in self.spec.channels}
        self.cut_spec = FeatureSpec(
            {place: self.spec.channels[level] for place, level in places.items()},
            {place: self.spec.strides[level] for place, level in places.items()},
            {place: self.spec.layouts[level] for place, level in places.items()},
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        columns = [self._column(index) for index in range(len(self.names))]
        states = [column.begin(*(prepared[name] for name in column.inputs)) for column in columns]
        outputs: list[list[State]] = [[] for _ in columns]
        for stage, unit_KK in enumerate(self.units):
            states = [run_stage(column.stages()[stage], state) for column, state in zip(columns, states, strict=True)]
            values = torch.stack([value for value, _ in states])
            mixed = torch.einsum("ij,j...->i...", unit_KK.to(values.dtype), values)
            states = [(value, mask) for value, (_, mask) in zip(mixed, states, strict=True)]
            for seen, state in zip(outputs, states, strict=True):
                seen.append(state)
        cut: Features = {}
        for name, column, seen in zip(self.names, columns, outputs, strict=True):
            found = column.finish(seen)
            cut |= {f"{name}/{level}": found[level] for level in self.spec.channels}
            cut |= {key: value for key, value in found.items() if key.endswith(MASK)}
        return cut

    def view(self, cut: Features, name: str) -> Features:
        masks = {key: value for key, value in cut.items() if key.endswith(MASK)}
        return {level: cut[f"{name}/{level}"] for level in self.spec.channels} | masks

    def _column(self, index: int) -> StagedBackbone:
        column = self.columns[index]
        assert isinstance(column, StagedBackbone)
        return column
