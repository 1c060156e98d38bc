"""`Columns`: base class of architectures with a copy of the backbone for each task, mixed behind every stage."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.copies import backbone_copies
from mtl.architectures.parts.stages import begin, spec_of, staged
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stage
from mtl.features import MASK, Features, Layout


class Columns(Architecture):
    """A column for each task, which exchange what they have behind every stage.

    All parameters are shared, since every task reaches all columns; the cut is the levels of each column, which its
    task alone reads.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.
        shared_stages: the first stages, which all columns share.

    Raises:
        ValueError: if the backbone is one piece.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], shared_stages: int = 0) -> None:
        super().__init__(backbone, names)
        trunk = staged(backbone, type(self).__name__)
        self.places = list(names)  # of the columns, all of which are needed for every task
        self.columns = nn.ModuleList(backbone_copies(trunk, len(names), trunk.stages()[:shared_stages]))
        self.cut_spec = spec_of({f"{n}/{level}": level for n in names for level in self.spec.channels}, self.spec)

    @property
    def trunk(self) -> StagedBackbone:
        """The first column."""
        return self.column(0)

    @abstractmethod
    def mix(self, values: Sequence[Tensor], stage: int) -> list[Tensor]:
        """What each column continues with after a stage.

        Args:
            values: what each column has there, K tensors.
            stage: index of the stage.
        """

    def leave(self, outputs: list[State], index: int) -> list[State]:
        """What the levels of a column are made of.

        Args:
            outputs: what it has behind each stage, mixed.
            index: its place among the tasks.
        """
        return outputs

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        columns = [self.column(index) for index in range(len(self.columns))]
        states = [begin(column, prepared) for column in columns]
        outputs: list[list[State]] = [[] for _ in columns]
        for stage in range(len(self.trunk.stages())):
            states = [run_stage(column.stages()[stage], state) for column, state in zip(columns, states, strict=True)]
            mixed = self.mix([values for values, _ in states], stage)
            states = [(value, mask) for value, (_, mask) in zip(mixed, states, strict=True)]
            for seen, state in zip(outputs, states, strict=True):
                seen.append(state)
        return self.levels(outputs)

    def levels(self, outputs: Sequence[list[State]]) -> Features:
        """The cut: levels of every column whose task has a head.

        Args:
            outputs: what each column has behind each stage.
        """
        cut: Features = {}
        for index, (name, seen) in enumerate(zip(self.places, outputs, strict=True)):
            if name not in self.names:
                continue
            found = self.column(index).finish(self.leave(seen, index))
            cut |= {f"{name}/{level}": found[level] for level in self.spec.channels}
            cut |= {key: value for key, value in found.items() if key.endswith(MASK)}
        return cut

    def view(self, cut: Features, name: str) -> Features:
        masks = {key: value for key, value in cut.items() if key.endswith(MASK)}
        return whole({level: cut[f"{name}/{level}"] for level in self.spec.channels} | masks)

    def column(self, index: int) -> StagedBackbone:
        """The column of one task.

        Args:
            index: its place among the tasks.
        """
        column = self.columns[index]
        assert isinstance(column, StagedBackbone)
        return column


def mixed(values: Sequence[Tensor], shares_IJ: Tensor, layout: Layout) -> list[Tensor]:
    """Sums of features of several columns, under a matrix of shares.

    Args:
        values: what each column has, J tensors.
        shares_IJ: share of each of them in each result.
        layout: their layout.

    Returns:
        I tensors.
    """
    channels = 1 if layout == "map" else -1
    # the axis of channels is last, as maps have it in memory by default: nothing is moved
    together = torch.stack([value.movedim(channels, -1) for value in values])
    out = shares_IJ.to(together.dtype) @ together.flatten(1)
    return [value.movedim(-1, channels) for value in out.view(-1, *together.shape[1:])]
