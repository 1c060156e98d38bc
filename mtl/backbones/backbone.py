"""`Backbone`: the shared trunk; it declares the width and stride of every map it returns."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mtl.features import Features, FeatureSpec


class Backbone(nn.Module, ABC):
    """Normalised images -> `{level: feature}`; a subclass sets `self.spec` in its `__init__`."""

    spec: FeatureSpec

    @abstractmethod
    def forward(self, image: Tensor) -> Features:
        """Feature maps of every level in `spec`.

        Args:
            image: normalised images, float [B,3,H,W].
        """
