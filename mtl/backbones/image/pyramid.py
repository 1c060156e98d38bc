"""`Pyramid`: merges the `c*` maps of a network top-down into the `p*` maps that heads need.

Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv:1612.03144; the layers are
torchvision's.
"""

from collections.abc import Mapping, Sequence

from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from mtl.errors import did_you_mean
from mtl.features import Features, FeatureSpec

STRIDES = {2: 4, 3: 8, 4: 16, 5: 32}  # strides of the levels c2..c5 and p2..p5
LEVELS = tuple(f"{letter}{number}" for letter in "cp" for number in STRIDES)


class Pyramid(nn.Module):
    """Selects and builds the requested levels only, so that every layer gets a gradient.

    Args:
        channels: channels of the network's maps `c2` to `c5`.
        levels: levels to return; pyramid levels come first and the deepest level last.
        pyramid_channels: channels of each `p*` level.
        who: name of the network, for error messages.

    Raises:
        ValueError: if a level is unknown, or the network does not have it.
    """

    def __init__(self, channels: Mapping[str, int], levels: Sequence[str], pyramid_channels: int, who: str) -> None:
        super().__init__()
        self.levels = sorted(check_levels(levels), key=lambda level: (level[0] == "c", level))
        self.merged = [level for level in self.levels if level[0] == "p"]
        self.inputs = needed_inputs(self.levels, channels, who)
        self.spec = FeatureSpec(
            {level: pyramid_channels if level[0] == "p" else channels[level] for level in self.levels},
            {level: STRIDES[int(level[1])] for level in self.levels},
        )
        if self.merged:
            self.fpn_inputs = [name for name in self.inputs if int(name[1]) >= int(self.merged[0][1])]
            self.fpn = FeaturePyramidNetwork([channels[name] for name in self.fpn_inputs], pyramid_channels)
            for index, name in enumerate(self.fpn_inputs):
                if f"p{name[1]}" not in self.merged:
                    # this output is unused; with layers, DDP would wait for their gradients
                    self.fpn.layer_blocks[index] = nn.Identity()

    def forward(self, maps: Features) -> Features:
        """The requested maps by level.

        Args:
            maps: the network's `c*` maps by level, at least those in `inputs`.
        """
        features = {level: maps[level] for level in self.levels if level[0] == "c"}
        if self.merged:
            merged = self.fpn({name: maps[name] for name in self.fpn_inputs})
            features |= {f"p{name[1]}": merged[name] for name in self.fpn_inputs if f"p{name[1]}" in self.merged}
        return {level: features[level] for level in self.levels}


def check_levels(levels: Sequence[str]) -> Sequence[str]:
    """Check that all levels are in `c2` to `c5` or `p2` to `p5` and unique, and return them.

    Args:
        levels: names of levels.

    Raises:
        ValueError: for an unknown or duplicate level, or an empty list.
    """
    for level in levels:
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}; levels are {', '.join(LEVELS)}.{did_you_mean(level, LEVELS)}")
    if not levels or len(set(levels)) < len(levels):
        raise ValueError(f"levels={list(levels)} must name at least one level, and no level twice.")
    return levels


def needed_inputs(levels: Sequence[str], channels: Mapping[str, int], who: str) -> list[str]:
    """The `c*` maps that these levels need: a `p*` level needs the map of its stride and all deeper maps.

    Args:
        levels: levels to return.
        channels: channels of the network's maps.
        who: name of the network, for the error message.

    Raises:
        ValueError: if the network lacks one of these maps.
    """
    merged = [int(level[1]) for level in levels if level[0] == "p"]
    wanted = {level for level in levels if level[0] == "c"}
    if merged:
        wanted |= {f"c{number}" for number in STRIDES if number >= min(merged)}
    missing = sorted(wanted - set(channels))
    if missing:
        raise ValueError(
            f"{who} has no map {', '.join(missing)} (stride {', '.join(str(STRIDES[int(name[1])]) for name in missing)}"
            f"); it has {', '.join(channels) or 'no suitable map'}. Set other `levels`, or use another network."
        )
    return sorted(wanted)
