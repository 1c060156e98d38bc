"""`PassPerTask`: base class of architectures whose trunk runs once for each task, changed by what is its own.

The cut is the output of the first stages, which run once; the shared stages behind it are used once a task. The K
graphs are disjoint, so the exact gradient of every task costs no further pass.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.stages import as_features, as_states, begin, spec_of, staged
from mtl.architectures.parts.task_norms import TaskNorms
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, State, run_stage, run_stages
from mtl.features import Features, Layout


class PassPerTask(Architecture):
    """The trunk runs once for each task behind its first stages.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        shared_stages: the first stages, which run once for all tasks; at least 1.
        own_norms: every batch norm that runs once a task is the task's own; a shared one would mix the statistics of
            all tasks, and be right for none in evaluation.

    Raises:
        ValueError: if the backbone is one piece, or has fewer stages.
    """

    shared_after_cut = True

    def __init__(
        self, backbone: Backbone, names: Sequence[str], shared_stages: int = 1, own_norms: bool = True
    ) -> None:
        super().__init__(backbone, names)
        self.backbone = staged(backbone, type(self).__name__)
        stages = self.backbone.stages()
        if not 1 <= shared_stages < len(stages):
            raise ValueError(
                f"{type(self).__name__}: shared_stages={shared_stages} must lie within 1..{len(stages) - 1}; "
                f"{type(backbone).__name__} has {len(stages)} stages."
            )
        self.levels = list(self.backbone.stage_spec.channels)
        self.shared_stages = shared_stages
        self.cut_spec = spec_of({level: level for level in self.levels[:shared_stages]}, self.backbone.stage_spec)
        self.norms = TaskNorms(self.backbone, self.of_task, stages[:shared_stages]) if own_norms else None

    @abstractmethod
    def change(self, state: State, name: str, stage: int) -> State:
        """What a task makes of the output of a stage, from the last shared one on.

        Args:
            state: values and mask.
            name: the task.
            stage: index of the stage.
        """

    def take_turn(self, name: str) -> None:
        """Called before a task's pass.

        Args:
            name: the task.
        """
        if self.norms is not None:
            self.norms.take_turn(name)

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        states = run_stages(self.backbone.stages()[: self.shared_stages], begin(self.backbone, prepared))
        return as_features(states, self.levels[: self.shared_stages])

    def view(self, cut: Features, name: str) -> Features:
        self.take_turn(name)
        states = as_states(cut, self.levels[: self.shared_stages])
        states[-1] = self.change(states[-1], name, self.shared_stages - 1)
        for index, stage in enumerate(self.backbone.stages()):
            if index >= self.shared_stages:
                states.append(self.change(run_stage(stage, states[-1]), name, index))
        return whole(self.backbone.finish(states))

    def harden(self, name: str) -> None:
        if self.norms is not None:
            self.norms.settle(name)
        super().harden(name)

    def layout(self, stage: int) -> Layout:
        """Layout of the output of a stage.

        Args:
            stage: its index.
        """
        return self.backbone.stage_spec.layouts[self.levels[stage]]

    def widths(self) -> list[int]:
        """Channels of the outputs that `change` gets."""
        return list(self.backbone.stage_spec.channels.values())[self.shared_stages - 1 :]
