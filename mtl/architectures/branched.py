"""Branched networks: a tree of stages, given in the config or written by `python -m mtl group`.

Source: Vandenhende et al., "Branched Multi-Task Networks: Deciding What Layers To Share", BMVC 2020, arXiv:1904.02920;
Lu et al., "Fully-adaptive Feature Sharing", CVPR 2017, arXiv:1611.05377. Tasks that are related part late.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.copies import backbone_copies
from mtl.architectures.parts.stages import as_features, as_states, begin, join, spec_of, staged, without_stages
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stage, run_stages
from mtl.errors import did_you_mean
from mtl.features import Features

Groups = list[list[str]]


class Branched(Architecture):
    """A tree of stages: tasks of one group share a stage, and groups part on the way.

    The cut is the levels of each last group of several tasks, and for a task that is alone what its own stages read.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        tree: from a stage on, the groups of tasks that share, until the next entry; `{2: [[boxes, count], [largest]]}`.
            Stages count from 0, which all tasks share; the number of stages stands for what follows them (a pyramid).
            By default every task has a last stage of its own.

    Raises:
        ValueError: if the groups do not hold every task once, or join what was parted; or if the backbone is one piece.
    """

    def __init__(
        self, backbone: Backbone, names: Sequence[str], tree: dict[int, list[list[str]]] | None = None
    ) -> None:
        super().__init__(backbone, names)
        trunk = staged(backbone, "Branched")
        stages, self.levels = list(trunk.stages()), list(trunk.stage_spec.channels)
        tree = {len(stages) - 1: [[name] for name in names]} if tree is None else tree
        self.groups = _partitions(tree, list(names), len(stages))
        last = self.groups[-1]
        copies = backbone_copies(trunk, len(last))
        self.nodes = nn.ModuleDict()  # stages of several tasks
        self.rests = nn.ModuleDict()  # what follows the stages of the last groups of several tasks
        self.alone: dict[str, int] = {}  # the first stage that is a task's own
        for members, copy in zip(last, copies, strict=True):
            # a stage belongs to the copy of the first of its groups
            for stage, groups in enumerate(self.groups[:-1]):
                (group,) = (group for group in groups if members[0] in group)
                if _is_shared(group, stage) and group[0] == members[0]:
                    self.nodes[f"{stage}_{group[0]}_"] = copy.stages()[stage]
            if len(members) > 1:
                self.rests[f"{members[0]}_"] = without_stages(copy, copy.stages())
            else:
                first = max(1, next(stage for stage, groups in enumerate(self.groups) if members in groups))
                self.alone[members[0]] = first
                self.of_task[members[0]].branch = without_stages(copy, copy.stages()[:first])
        self.cut_spec = join(
            *(
                spec_of({f"{group[0]}/{level}": level for level in self.spec.channels}, self.spec)
                for group in last
                if len(group) > 1
            ),
            *(
                spec_of({self._place(stage, name): self.levels[stage] for stage in range(first)}, trunk.stage_spec)
                for name, first in self.alone.items()
            ),
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        any_rest = next(module for module in self.modules() if isinstance(module, StagedBackbone))
        start = begin(any_rest, prepared)
        found: dict[str, State] = {}  # by place
        for stage, groups in enumerate(self.groups[:-1]):
            for group in groups:
                if _is_shared(group, stage):
                    before = found[self._place(stage - 1, group[0])] if stage else start
                    node = self.nodes[f"{stage}_{group[0]}_"]
                    found[self._place(stage, group[0])] = run_stage(node, before)
        cut: Features = {}
        for name, first in self.alone.items():
            places = [self._place(stage, name) for stage in range(first)]
            cut |= as_features([found[place] for place in places], places)
        for group in self.groups[-1]:
            if len(group) > 1:
                rest = self.rests[f"{group[0]}_"]
                assert isinstance(rest, StagedBackbone)
                path = [found[self._place(stage, group[0])] for stage in range(len(self.levels))]
                cut |= {f"{group[0]}/{key}": value for key, value in rest.finish(path).items()}
        return cut

    def view(self, cut: Features, name: str) -> Features:
        if name not in self.alone:
            (group,) = (group for group in self.groups[-1] if name in group)
            start = f"{group[0]}/"
            return {key.removeprefix(start): value for key, value in cut.items() if key.startswith(start)}
        first = self.alone[name]
        path = as_states(cut, [self._place(stage, name) for stage in range(first)])
        branch = self.of_task[name].get_submodule("branch")
        assert isinstance(branch, StagedBackbone)
        return whole(branch.finish([*path, *run_stages(branch.stages()[first:], path[-1])]))

    def _place(self, stage: int, name: str) -> str:
        """Name in the cut of the output of a stage on the way of a task; the same for all tasks of its group."""
        (group,) = (group for group in self.groups[stage] if name in group)
        return f"{self.levels[stage]}:{group[0]}"


def _is_shared(group: Sequence[str], stage: int) -> bool:
    """Whether it runs before the cut: a task without others has the first stage there, as others have."""
    return len(group) > 1 or stage == 0


def _partitions(tree: Mapping[int, Groups], names: list[str], stages: int) -> list[Groups]:
    """The groups at every stage, and behind the last; members in the order of the tasks."""
    out: list[Groups] = [[names]]
    for stage in tree:
        if not 1 <= int(stage) <= stages:
            raise ValueError(
                f"Branched: tree has an entry for stage {stage}; stages that can part are 1..{stages - 1}, and "
                f"{stages} is what follows them. All tasks share stage 0."
            )
    for stage in range(1, stages + 1):
        groups = [[name for name in names if name in group] for group in tree.get(stage, out[-1])]
        listed = [name for group in tree.get(stage, out[-1]) for name in group]
        unknown = sorted(set(listed) - set(names))
        if unknown:
            raise ValueError(
                f"Branched: tree names {unknown[0]!r} at stage {stage}, and tasks with a head are {', '.join(names)}."
                f"{did_you_mean(unknown[0], names)}"
            )
        if sorted(listed) != sorted(names) or not all(groups):
            raise ValueError(f"Branched: the groups at stage {stage} must hold each of {', '.join(names)} once.")
        for group in groups:
            if not any(set(group) <= set(before) for before in out[-1]):
                raise ValueError(
                    f"Branched: stage {stage} joins {' and '.join(group)}, which parted before; a tree only parts."
                )
        out.append(sorted(groups, key=lambda group: names.index(group[0])))
    return out
