"""Features of every task from a trunk's features, which several architectures let the tasks exchange."""

from collections.abc import Mapping, Sequence

from torch import nn

from mtl.architectures.parts.stages import norm, pointwise
from mtl.features import MASK, Features, FeatureSpec, Layout


class TaskFeatures(nn.Module):
    """For each task and level a convolution (3 x 3 on maps, linear elsewhere) with norm and ReLU, in the same width.

    Args:
        spec: the levels.
        names: names of the tasks.
    """

    def __init__(self, spec: FeatureSpec, names: Sequence[str]) -> None:
        super().__init__()
        self.spec = spec
        self.layers = nn.ModuleDict(
            {f"{name}_": nn.ModuleDict({f"{level}_": _block(spec, level) for level in spec.channels}) for name in names}
        )

    def forward(self, features: Mapping[str, object], name: str) -> Features:
        """The features of one task; masks are left out.

        Args:
            features: the trunk's.
            name: the task.
        """
        layers = self.layers[f"{name}_"]
        return {level: layers.get_submodule(f"{level}_")(features[level]) for level in self.spec.channels}


def masks(features: Features) -> Features:
    """The masks among features.

    Args:
        features: levels and masks.
    """
    return {key: value for key, value in features.items() if key.endswith(MASK)}


def spatial(layout: Layout, before: int, after: int) -> nn.Module:
    """A convolution of 3 x 3 on maps, a linear layer elsewhere.

    Args:
        layout: the layout.
        before: channels that it takes.
        after: channels that it gives.
    """
    return nn.Conv2d(before, after, 3, padding=1) if layout == "map" else pointwise(layout, before, after)


def _block(spec: FeatureSpec, level: str) -> nn.Module:
    layout, width = spec.layouts[level], spec.channels[level]
    return nn.Sequential(spatial(layout, width, width), norm(layout, width), nn.ReLU())
