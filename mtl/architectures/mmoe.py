"""Multi-gate mixture of experts: several trunks, and each task weighs them for each sample.

Source: Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018:
z_k = sum_e softmax(g_k(x))_e f_e(x). LibMTL's gates read the flattened raw picture, which fixes its size; here they
read the pooled output of what the experts share.
Shapes: B samples, E experts, C channels.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.copies import backbone_copies
from mtl.architectures.parts.stages import begin, join, masked_mean, spec_of, staged
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, run_stages
from mtl.features import MASK, Features, FeatureSpec

GATE = "gate"


class MMoE(Architecture):
    """Several experts, which a gate of each task weighs for each sample.

    Experts are copies of the backbone behind its first stages; the cut is their levels.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        experts: number of experts E.
        shared_stages: the first stages, which all experts share; their pooled output is what the gates read.

    Raises:
        ValueError: for fewer than 2 experts, or if no stage is left to them.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], experts: int = 4, shared_stages: int = 1) -> None:
        super().__init__(backbone, names)
        trunk = staged(backbone, type(self).__name__)
        stages = trunk.stages()
        if experts < 2 or not 1 <= shared_stages < len(stages):
            raise ValueError(
                f"{type(self).__name__}: experts={experts} must be at least 2, and shared_stages={shared_stages} from "
                f"1 to {len(stages) - 1}: {type(backbone).__name__} has {len(stages)} stages."
            )
        self.shared_stages = shared_stages
        self.experts = nn.ModuleList(backbone_copies(trunk, experts, stages[:shared_stages]))
        last = list(trunk.stage_spec.channels)[shared_stages - 1]
        width = trunk.stage_spec.channels[last]
        self.gate_layout = trunk.stage_spec.layouts[last]
        for part in self.of_task.values():
            part.gate = self.make_gate(width, experts)
        places = {f"{expert}/{level}": level for expert in range(experts) for level in self.spec.channels}
        self.cut_spec = join(spec_of(places, self.spec), FeatureSpec({GATE: width}, layouts={GATE: "vector"}))

    def make_gate(self, width: int, experts: int) -> nn.Module:
        """The gate of one task.

        Args:
            width: channels that it reads.
            experts: number of experts E.
        """
        return nn.Linear(width, experts)

    def gates(self, pooled_BC: Tensor, name: str) -> Tensor:
        """How much of each expert a task takes, [B,E], summing to 1.

        Args:
            pooled_BC: what the gate reads.
            name: the task.
        """
        logits_BE: Tensor = self.of_task[name].get_submodule("gate")(pooled_BC)
        # a softmax in 16 bits would round small gates to 0
        return logits_BE.float().softmax(-1)

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        trunk = self._expert(0)
        shared = run_stages(trunk.stages()[: self.shared_stages], begin(trunk, prepared))
        cut = {GATE: masked_mean(*shared[-1], self.gate_layout)}
        for index in range(len(self.experts)):
            expert = self._expert(index)
            found = expert.finish([*shared, *run_stages(expert.stages()[self.shared_stages :], shared[-1])])
            cut |= {f"{index}/{level}": found[level] for level in self.spec.channels}
            cut |= {key: value for key, value in found.items() if key.endswith(MASK)}
        return cut

    def view(self, cut: Features, name: str) -> Features:
        gates_BE = self.gates(cut[GATE], name)
        parts = [{level: cut[f"{index}/{level}"] for level in self.spec.channels} for index in range(len(self.experts))]
        masks = {key: value for key, value in cut.items() if key.endswith(MASK)}
        return whole(weighted(parts, gates_BE) | masks)

    def _expert(self, index: int) -> StagedBackbone:
        expert = self.experts[index]
        assert isinstance(expert, StagedBackbone)
        return expert


def weighted(parts: Sequence[Mapping[str, Tensor]], gates_BE: Tensor) -> Features:
    """The sum of features of several experts, under gates.

    Args:
        parts: levels of each expert, without masks.
        gates_BE: weight of each expert for each sample.
    """
    out: Features = {}
    for level in parts[0]:
        values = torch.stack([part[level] for part in parts], 1)
        out[level] = (gates_BE.to(values.dtype).view(*gates_BE.shape, *[1] * (values.ndim - 2)) * values).sum(1)
    return out
