"""`Columns`: base class of architectures with a copy of the backbone for each task, mixed behind every stage."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.copies import backbone_copies
from mtl.architectures.parts.stages import begin, spec_of, staged
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stage
from mtl.features import MASK, Features


class Columns(Architecture):
    """A column for each task, which exchange what they have behind every stage.

    All parameters are shared, since every task reaches all columns; the cut is the levels of each column, which its
    task alone reads.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.

    Raises:
        ValueError: if the backbone is one piece.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        super().__init__(backbone, names)
        trunk = staged(backbone, type(self).__name__)
        self.places = list(names)  # of the columns, all of which are needed for every task
        self.columns = nn.ModuleList(backbone_copies(trunk, len(names)))
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
        cut: Features = {}
        for name, column, seen in zip(self.places, columns, outputs, strict=True):
            if name not in self.names:
                continue
            found = column.finish(seen)
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
