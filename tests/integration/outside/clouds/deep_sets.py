"""A trunk for sets of points, in two stages: each point by itself, then the mean of all.

Source: Zaheer et al., "Deep Sets", NeurIPS 2017.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import MASK, Features, FeatureSpec
from mtl.task import Inputs


class DeepSets(StagedBackbone):
    """A layer for each point, the mean, and a layer for the set.

    Args:
        inputs: what the data module declares; one set of points.
        width: units of each layer.
    """

    def __init__(self, inputs: Inputs, width: int = 32) -> None:
        super().__init__()
        points = only_input(inputs, "points", "DeepSets")
        self.inputs = (points.name, points.name + MASK)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(2, width), nn.Tanh()), Mean(width)])
        self.stage_spec = FeatureSpec({"each": width, "all": width}, layouts={"each": "sequence", "all": "vector"})
        self.spec = FeatureSpec({"all": width}, layouts={"all": "vector"})

    def stages(self) -> Sequence[nn.Module]:
        return list(self.layers)

    def finish(self, outputs: Sequence[State]) -> Features:
        return {"all": outputs[-1][0]}


class Mean(nn.Module):
    """The mean of the real points, and a layer.

    Args:
        width: units.
    """

    takes_mask = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(width, width), nn.ReLU())

    def forward(self, points_BPC: Tensor, mask_BP: Tensor) -> State:
        mean_BC = (points_BPC * mask_BP[..., None]).sum(1) / mask_BP.sum(1, keepdim=True)
        return self.layer(mean_BC), None
