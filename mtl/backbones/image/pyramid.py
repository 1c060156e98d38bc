"""`Pyramid`: the `c*` maps of any network merged top-down into the `p*` maps that heads ask for.

Source: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv:1612.03144; the layers are
torchvision's.
"""

from collections.abc import Mapping, Sequence

from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from mtl.errors import did_you_mean
from mtl.features import Features, FeatureSpec

STRIDES = {2: 4, 3: 8, 4: 16, 5: 32}  # of the levels c2..c5 and p2..p5
LEVELS = tuple(f"{letter}{number}" for letter in "cp" for number in STRIDES)


class Pyramid(nn.Module):
    """Picks and builds the levels asked for; layers that nobody asked for are not made, so all get a gradient.

    Args:
        channels: channels of the network's maps `c2` to `c5`.
        levels: levels to return; pyramid levels come first and the deepest one last.
        pyramid_channels: channels of every `p*` level.
        who: the network, for messages.

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
                    # its output is dropped; without layers, DDP does not wait for their gradients
                    self.fpn.layer_blocks[index] = nn.Identity()

    def forward(self, maps: Features) -> Features:
        """Maps by level, from the network's maps by level.

        Args:
            maps: `c*` maps, at least those in `inputs`.
        """
        found = {level: maps[level] for level in self.levels if level[0] == "c"}
        if self.merged:
            merged = self.fpn({name: maps[name] for name in self.fpn_inputs})
            found |= {f"p{name[1]}": merged[name] for name in self.fpn_inputs if f"p{name[1]}" in self.merged}
        return {level: found[level] for level in self.levels}


def check_levels(levels: Sequence[str]) -> Sequence[str]:
    """The levels, if all of them are `c2` to `c5` or `p2` to `p5`, each once.

    Args:
        levels: names of levels.

    Raises:
        ValueError: naming the levels there are.
    """
    for level in levels:
        if level not in LEVELS:
            raise ValueError(f"unknown level {level!r}; there are {', '.join(LEVELS)}.{did_you_mean(level, LEVELS)}")
    if not levels or len(set(levels)) < len(levels):
        raise ValueError(f"levels={list(levels)} must name at least one level, and none twice.")
    return levels


def needed_inputs(levels: Sequence[str], channels: Mapping[str, int], who: str) -> list[str]:
    """The `c*` maps that these levels are made from: a `p*` level needs its own and all deeper ones.

    Args:
        levels: levels to return.
        channels: channels of the maps the network has.
        who: the network, for the message.

    Raises:
        ValueError: if the network lacks one of them.
    """
    merged = [int(level[1]) for level in levels if level[0] == "p"]
    wanted = {level for level in levels if level[0] == "c"}
    if merged:
        wanted |= {f"c{number}" for number in STRIDES if number >= min(merged)}
    missing = sorted(wanted - set(channels))
    if missing:
        raise ValueError(
            f"{who} has no map {', '.join(missing)} (stride {', '.join(str(STRIDES[int(name[1])]) for name in missing)}"
            f"); it gives {', '.join(channels) or 'none that fits'}. Ask for other `levels`, or take another network."
        )
    return sorted(wanted)
