"""Progressive layered extraction (PLE): layers of shared experts and of a task's own, weighed by gates.

Source: Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for Personalized
Recommendations", RecSys 2020: in every layer task k weighs its own experts and the shared ones, and between layers a
gate of the shared part weighs all experts. One layer is customized gate control (CGC). An expert of a layer is a copy
of some stages of the backbone; gates read the pooled input of their layer.
Shapes: B samples, E experts.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.mmoe import weighted
from mtl.architectures.parts.copies import backbone_copies
from mtl.architectures.parts.stages import (
    as_features,
    as_states,
    begin,
    join,
    masked_mean,
    spec_of,
    staged,
    without_stages,
)
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stages
from mtl.features import MASK, Features

_SHARED = "shared"


class PLE(Architecture):
    """Experts that tasks share, and experts of each task, in one layer (CGC) or several.

    The experts of all layers but the last reach every task and are shared; in the last layer a task's experts are its
    own. The cut is the levels of the last shared experts, and what the tasks' own experts read.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        layers: number of layers, over which the stages behind the first ones are spread; 1 is CGC.
        shared_experts: experts of each layer that all tasks weigh.
        own_experts: experts of each layer and task.
        shared_stages: the first stages, which all experts share.

    Raises:
        ValueError: for a number out of range, or a backbone that is one piece.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        layers: int = 1,
        shared_experts: int = 1,
        own_experts: int = 1,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names)
        if _SHARED in names:
            raise ValueError(
                f"PLE: a task cannot be called {_SHARED!r} here, as its common experts are. Rename the task."
            )
        trunk = staged(backbone, "PLE")
        stages, levels = list(trunk.stages()), list(trunk.stage_spec.channels)
        if not 1 <= shared_stages < len(stages) or not 1 <= layers <= len(stages) - shared_stages:
            raise ValueError(
                f"PLE: shared_stages={shared_stages} must leave stages for layers={layers}, at least one each; "
                f"{type(backbone).__name__} has {len(stages)} stages."
            )
        if min(shared_experts, own_experts) < 1:
            raise ValueError(f"PLE: shared_experts={shared_experts} and own_experts={own_experts} must be at least 1.")
        self.levels, self.own_experts = levels, own_experts
        ends = [shared_stages + (len(stages) - shared_stages) * layer // layers for layer in range(layers + 1)]
        self.layers = [range(first, last) for first, last in pairwise(ends)]
        last = self.layers[-1][0]
        self.stem = nn.ModuleList(stages[:shared_stages])
        made = backbone_copies(trunk, shared_experts + own_experts * len(names), self.stem)
        self.shared = nn.ModuleList(without_stages(copy, self.stem) for copy in made[:shared_experts])
        self.early = nn.ModuleDict()  # of the tasks' experts, what all tasks reach
        for index, name in enumerate(names):
            copies = made[shared_experts + own_experts * index :][:own_experts]
            self.early[name] = nn.ModuleList(nn.ModuleList(copy.stages()[shared_stages:last]) for copy in copies)
            self.of_task[name].experts = nn.ModuleList(without_stages(copy, copy.stages()[:last]) for copy in copies)
        spec, each = trunk.stage_spec, own_experts + shared_experts
        self.gates = nn.ModuleList()  # of the layers before the last, by task and for the shared part
        for layer in self.layers[:-1]:
            width = spec.channels[levels[layer[0] - 1]]
            gates = {name: nn.Linear(width, each) for name in names}
            gates[_SHARED] = nn.Linear(width, shared_experts + own_experts * len(names))
            self.gates.append(nn.ModuleDict({f"{name}_gate": gate for name, gate in gates.items()}))
        for part in self.of_task.values():
            part.gate = nn.Linear(spec.channels[levels[last - 1]], each)
        self.layouts = [spec.layouts[level] for level in levels]
        self.cut_spec = join(
            spec_of({f"{e}/{level}": level for e in range(shared_experts) for level in self.spec.channels}, self.spec),
            spec_of({level: level for level in levels[:shared_stages]}, spec),
            spec_of({f"{n}/{level}": level for n in names for level in levels[shared_stages:last]}, spec),
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        stem = run_stages(self.stem, begin(self._shared(0), prepared))
        paths: dict[str, list[State]] = {name: list(stem) for name in (*self.early, _SHARED)}
        for layer, gates in zip(self.layers[:-1], self.gates, strict=True):
            paths = self._mixed(paths, layer, gates)
        cut = as_features(stem, self.levels[: len(stem)])
        for name in self.names:
            states = paths[name][len(stem) :]
            cut |= as_features(states, [f"{name}/{level}" for level in self._between])
        for index in range(len(self.shared)):
            found = self._finished(self._shared(index), paths[_SHARED])
            cut |= {f"{index}/{level}": found[level] for level in self.spec.channels}
            cut |= {key: value for key, value in found.items() if key.endswith(MASK)}
        return cut

    def view(self, cut: Features, name: str) -> Features:
        path = as_states(cut, [*self.levels[: len(self.stem)], *(f"{name}/{level}" for level in self._between)])
        experts = self.of_task[name].get_submodule("experts")
        assert isinstance(experts, nn.ModuleList)
        own = [self._finished(expert, path) for expert in experts if isinstance(expert, StagedBackbone)]
        parts = [{level: found[level] for level in self.spec.channels} for found in own]
        parts += [{level: cut[f"{e}/{level}"] for level in self.spec.channels} for e in range(len(self.shared))]
        masks = {key: value for key, value in own[0].items() if key.endswith(MASK)}
        return whole(weighted(parts, self._gate(self.of_task[name].get_submodule("gate"), path)) | masks)

    @property
    def _between(self) -> list[str]:
        """Stages of the layers before the last."""
        return self.levels[len(self.stem) : self.layers[-1][0]]

    def _mixed(self, paths: dict[str, list[State]], layer: range, gates: nn.Module) -> dict[str, list[State]]:
        """The paths behind one more layer."""
        first = layer[0] - len(self.stem)
        of_all = [
            run_stages([self._shared(index).stages()[stage] for stage in layer], paths[_SHARED][-1])
            for index in range(len(self.shared))
        ]
        by_task = {
            name: [
                run_stages(self._early(name, index)[first : first + len(layer)], path[-1])
                for index in range(self.own_experts)
            ]
            for name, path in paths.items()
            if name != _SHARED
        }
        read = {name: [*own, *of_all] for name, own in by_task.items()}
        read[_SHARED] = [*(expert for own in by_task.values() for expert in own), *of_all]
        out = {}
        for name, experts in read.items():
            gates_BE = self._gate(gates.get_submodule(f"{name}_gate"), paths[name])
            states = []
            for outputs in zip(*experts, strict=True):
                values = weighted([{"": value} for value, _ in outputs], gates_BE)[""]
                states.append((values, outputs[0][1]))
            out[name] = [*paths[name], *states]
        return out

    def _gate(self, gate: nn.Module, path: Sequence[State]) -> Tensor:
        pooled_BC = masked_mean(*path[-1], self.layouts[len(path) - 1])
        logits_BE: Tensor = gate(pooled_BC)
        return torch.softmax(logits_BE.float(), -1)

    def _finished(self, expert: StagedBackbone, path: Sequence[State]) -> Features:
        return expert.finish([*path, *run_stages([expert.stages()[stage] for stage in self.layers[-1]], path[-1])])

    def _early(self, name: str, index: int) -> list[nn.Module]:
        return list(self.early.get_submodule(f"{name}.{index}").children())

    def _shared(self, index: int) -> StagedBackbone:
        expert = self.shared[index]
        assert isinstance(expert, StagedBackbone)
        return expert
