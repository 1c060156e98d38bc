"""Learned branching: which stage of which column feeds a stage is learned, and ends as a tree.

Source: Guo, Lee, Ulbricht, "Learning to Branch for Multi-Task Learning", ICML 2020, arXiv:2006.01895: node i behind a
stage takes sum_j d_ij x_j of the nodes j before it, with d_i = softmax((w_i + g) / t), Gumbel noise g and a temperature
t that falls; each task picks a node of the last stage in the same way. In evaluation each takes its likeliest parent,
which is a tree. LibMTL's code sums all parents at first, draws in evaluation too, and draws anew on every rank.
Shapes: K tasks, which is also the number of nodes of a stage; S stages.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.columns import Columns, mixed
from mtl.architectures.parts.stages import begin
from mtl.architectures.parts.steps import Steps
from mtl.backbones.backbone import Backbone, State, run_stage, run_stages
from mtl.features import Features
from mtl.functional.counter_random import counter_uniform


class LearnedBranching(Columns):
    """A column for each task, whose stages learn where their input comes from; trained, it is a tree.

    Columns are copies of the backbone behind its first stages; the cut is the levels of each task. Parents are mixed in
    training and picked in evaluation, so scores of evaluation mean little before the temperature is low. All picks are
    equal at the start: evaluation begins as hard sharing. `tree()` says what was found, as `Branched` takes it.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        temperature: of the draws, at the start and when annealing is over.
        anneal_steps: training batches until the temperature has reached its end.
        seed: of the draws, which are the same on every rank and after a resume.
        shared_stages: the first stages, which run once for all tasks; 1 to S - 1.

    Raises:
        ValueError: for a number out of range, or a backbone that is one piece.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        temperature: tuple[float, float] = (5.0, 0.1),
        anneal_steps: int = 2000,
        seed: int = 0,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages)
        self.levels_of_stages = list(self.trunk.stage_spec.channels)
        length, number = len(self.levels_of_stages), len(names)
        if not 1 <= shared_stages < length:
            raise ValueError(
                f"LearnedBranching: shared_stages={shared_stages} must lie within 1..{length - 1}; "
                f"{backbone.title} has {length} stages."
            )
        if min(temperature) <= 0:
            raise ValueError(f"LearnedBranching: temperature={temperature} must be two numbers above 0.")
        self.temperature, self.seed, self.shared_stages = temperature, seed, shared_stages
        self.steps = Steps(anneal_steps)
        # who feeds the nodes of each stage but the first of the columns, and who feeds the tasks
        self.logits = nn.ParameterList(torch.zeros(number, number) for _ in range(length - shared_stages))

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        first = run_stages(self.trunk.stages()[: self.shared_stages], begin(self.trunk, prepared))
        if not len(self.logits):
            return self.levels([[*first, *run_stages(self.trunk.stages()[self.shared_stages :], first[-1])]])
        self.steps.advance()
        picks = self.picks()
        outputs = [self._run(self.shared_stages, [first[-1]] * len(self.columns))]
        for pick_KK, stage in zip(picks, range(self.shared_stages + 1, len(self.levels_of_stages)), strict=False):
            outputs.append(self._run(stage, self._mixed(outputs[-1], pick_KK, stage - 1)))
        # what a task has behind a stage is what its ancestors there have
        ancestors_KK, path = picks[-1], []
        for stage in reversed(range(self.shared_stages, len(self.levels_of_stages))):
            path.append(self._mixed(outputs[stage - self.shared_stages], ancestors_KK, stage))
            if stage > self.shared_stages:
                ancestors_KK = ancestors_KK @ picks[stage - self.shared_stages - 1]
        by_task = zip(*reversed(path), strict=True)
        return self.levels([[*first, *states] for states in by_task])

    def mix(self, values: Sequence[Tensor], stage: int) -> list[Tensor]:
        return list(values)

    def picks(self) -> list[Tensor]:
        """How much each child takes of each parent, [K,K] for each stage behind the first of the columns and for the
        tasks: a relaxed draw in training, exactly one parent in evaluation.
        """
        if not self.training:
            return [self._hard(logits_KK) for logits_KK in self.logits]
        temperature, out = self.steps.between(*self.temperature), []
        for stream, logits_KK in enumerate(self.logits):
            drawn = counter_uniform(self.seed, self.steps.count, logits_KK.numel(), stream, logits_KK.dtype)
            gumbel_KK = -(-drawn.log()).log().view_as(logits_KK)
            out.append(((logits_KK + gumbel_KK) / temperature).softmax(-1))
        return out

    def tree(self) -> dict[int, list[list[str]]]:
        """The tree that evaluation runs, as `tree` of `Branched` says it: groups of tasks by stage."""
        paths = {name: self._path(index) for index, name in enumerate(self.places)}
        out: dict[int, list[list[str]]] = {}
        for stage in range(self.shared_stages, len(self.levels_of_stages)):
            groups: dict[int, list[str]] = {}
            for name, path in paths.items():
                groups.setdefault(path[stage - self.shared_stages], []).append(name)
            out[stage] = list(groups.values())
        # what follows the stages, a task has of its own
        return out | {len(self.levels_of_stages): [[name] for name in self.places]}

    def harden(self, name: str) -> None:
        index = self.places.index(name)
        path, column = self._path(index), self.column(index)
        stages = {
            id(column.stages()[self.shared_stages + behind]): self.column(node).stages()[self.shared_stages + behind]
            for behind, node in enumerate(path)
        }
        self.columns = nn.ModuleList([copy.deepcopy(column, stages)])
        self.places, self.logits = [name], nn.ParameterList()
        super().harden(name)

    def _run(self, stage: int, states: Sequence[State]) -> list[State]:
        return [run_stage(self.column(node).stages()[stage], state) for node, state in enumerate(states)]

    def _mixed(self, states: Sequence[State], pick_KK: Tensor, stage: int) -> list[State]:
        layout = self.trunk.stage_spec.layouts[self.levels_of_stages[stage]]
        values = mixed([values for values, _ in states], pick_KK, layout)
        return [(value, mask) for value, (_, mask) in zip(values, states, strict=True)]

    def _path(self, index: int) -> list[int]:
        """The node of each stage behind the shared ones that a task's features come through."""
        node = int(self.logits[-1][index].argmax())
        path = [node]
        for logits_KK in reversed(list(self.logits)[:-1]):
            node = int(logits_KK[node].argmax())
            path.insert(0, node)
        return path

    @staticmethod
    def _hard(logits_KK: Tensor) -> Tensor:
        number = torch.arange(logits_KK.shape[-1], device=logits_KK.device)
        return (logits_KK.argmax(-1, keepdim=True) == number).to(logits_KK.dtype)
