"""Hard parameter sharing: one trunk, and every head reads it.

Source: Caruana, "Multitask Learning", Machine Learning 28, 1997.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone
from mtl.features import Features


class HardSharing(Architecture):
    """One trunk, whose levels every head reads.

    Args:
        backbone: the trunk.
        names: names of the tasks.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        super().__init__(backbone, names)
        self.backbone = backbone

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        return self.backbone.run(prepared)
