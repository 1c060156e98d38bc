"""PAD-Net: every task makes a first prediction, and takes from the features of the others what a gate lets through.

Source: Xu et al., "PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network", CVPR 2018, arXiv:1805.04409, form
C: F_t <- F_t + sum_{a != t} sigmoid(W_g F_a) * (W_f F_a), with a first prediction from every F_a. As in the code of
later work the features F_a are exchanged, not the predictions made of them.
Shapes: K tasks.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.first_predictions import FirstPredictions
from mtl.architectures.parts.stages import spec_of
from mtl.architectures.parts.task_features import TaskFeatures, masks, spatial
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone
from mtl.features import Features, Layout


class PADNet(FirstPredictions):
    """First predictions of every task, and attention of each task to the features of the others.

    The cut is the features of all tasks, of which each task reads all.

    Args:
        backbone: the trunk.
        names: names of the tasks.
        first_weight: weight of the losses of the first predictions; 0 for none.

    Raises:
        ValueError: for a weight below 0.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], first_weight: float = 1.0) -> None:
        super().__init__(backbone, names, first_weight)
        self.backbone = backbone
        self.features = TaskFeatures(self.spec, names)
        for name in names:
            self.of_task[name].distill = nn.ModuleDict(
                {
                    f"{level}_": nn.ModuleDict(
                        {f"{other}_": _Distil(self.spec.layouts[level], width) for other in names if other != name}
                    )
                    for level, width in self.spec.channels.items()
                }
            )
        self.others = {name: [other for other in names if other != name] for name in names}
        self.cut_spec = spec_of({f"{name}/{level}": level for name in names for level in self.spec.channels}, self.spec)

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        shared = self.backbone.run(prepared)
        cut = masks(shared)
        for name in self.others:
            cut |= {f"{name}/{level}": value for level, value in self.features(shared, name).items()}
        return cut

    def initial(self, cut: Features, name: str) -> Features:
        return {level: cut[f"{name}/{level}"] for level in self.spec.channels} | masks(cut)

    def view(self, cut: Features, name: str) -> Features:
        out = {}
        for level in self.spec.channels:
            distill = self.of_task[name].get_submodule(f"distill.{level}_")
            taken = [distill.get_submodule(f"{other}_")(cut[f"{other}/{level}"]) for other in self.others[name]]
            out[level] = torch.stack([cut[f"{name}/{level}"], *taken]).sum(0)
        return whole(out | masks(cut))


class _Distil(nn.Module):
    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.gate, self.features = spatial(layout, width, width), spatial(layout, width, width)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.gate(values).sigmoid() * self.features(values)
        return out
