"""`Backbone`: base class of the shared trunk, which declares the width and stride of each map it returns."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mtl.features import Features, FeatureSpec


class Backbone(nn.Module, ABC):
    """Normalised images -> `{level: feature}`; a subclass sets `self.spec` in its `__init__`."""

    spec: FeatureSpec

    @abstractmethod
    def forward(self, image: Tensor) -> Features:
        """Feature maps of all levels in `spec`.

        Args:
            image: normalised images, float [B,3,H,W].
        """
