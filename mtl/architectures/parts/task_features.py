"""Features of every task from a trunk's features, which several architectures let the tasks exchange."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtl.architectures.parts.stages import norm, pointwise
from mtl.features import MASK, Features, FeatureSpec, Layout


class TaskFeatures(nn.Module):
    """For each task and level a convolution (3 x 3 on maps, linear elsewhere) with norm and ReLU, in the same width.

    Args:
        spec: the levels.
        names: names of the tasks.
        more: further channels that a level's convolution takes.
    """

    def __init__(self, spec: FeatureSpec, names: Sequence[str], more: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.spec, more = spec, more or {}
        self.layers = nn.ModuleDict(
            {
                f"{name}_": nn.ModuleDict(
                    {
                        f"{level}_": block(spec.layouts[level], width + more.get(level, 0), width)
                        for level, width in spec.channels.items()
                    }
                )
                for name in names
            }
        )

    def forward(self, features: Mapping[str, Tensor], name: str) -> Features:
        """The features of one task; masks are left out.

        Args:
            features: the trunk's.
            name: the task.
        """
        return {level: self.level(features[level], name, level) for level in self.spec.channels}

    def level(self, values: Tensor, name: str, level: str) -> Tensor:
        """One level of the features of one task.

        Args:
            values: what its convolution takes.
            name: the task.
            level: the level.
        """
        out: Tensor = self.layers.get_submodule(f"{name}_.{level}_")(values)
        return out


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


def block(layout: Layout, before: int, after: int) -> nn.Module:
    """A `spatial` layer with norm and ReLU.

    Args:
        layout: the layout.
        before: channels that it takes.
        after: channels that it gives.
    """
    return nn.Sequential(spatial(layout, before, after), norm(layout, after), nn.ReLU())
