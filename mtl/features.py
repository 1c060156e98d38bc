"""`FeatureSpec`: what a backbone promises and a head is built from. `Features`: the tensors themselves."""

from dataclasses import dataclass

from torch import Tensor

from mtl.errors import did_you_mean

Features = dict[str, Tensor]  # level name -> [B, C, H, W]


@dataclass(frozen=True)
class FeatureSpec:
    """Widths and strides of a backbone's feature maps.

    Args:
        channels: channels of each level, for example `{"c4": 64, "p2": 32}`.
        strides: input pixels per cell of each level, with the same keys.
    """

    channels: dict[str, int]
    strides: dict[str, int]

    def __post_init__(self) -> None:
        if set(self.channels) != set(self.strides):
            raise ValueError(f"levels with channels {sorted(self.channels)}, with strides {sorted(self.strides)}.")

    @property
    def deepest(self) -> str:
        """The level with the largest stride (the last one of those, where several are equal)."""
        return max(reversed(self.strides), key=lambda level: self.strides[level])

    def require(self, levels: list[str], who: str) -> list[str]:
        """Check that these levels exist.

        Args:
            levels: names asked for.
            who: who asks, for the message.

        Raises:
            ValueError: naming the levels there are.
        """
        for level in levels:
            if level not in self.channels:
                raise ValueError(
                    f"{who} asks for level {level!r}; the backbone gives {', '.join(self.channels)}."
                    f"{did_you_mean(level, self.channels)}"
                )
        return levels

    def pyramid(self, who: str) -> list[str]:
        """The `p*` levels (equal width, finest first) that a dense head works on.

        Args:
            who: who asks, for the message.

        Raises:
            ValueError: if there is none, or their widths differ.
        """
        levels = sorted((name for name in self.channels if name.startswith("p")), key=lambda name: self.strides[name])
        if not levels:
            raise ValueError(
                f"{who} needs pyramid levels (p2, p3, ...); the backbone gives {', '.join(self.channels)}. "
                "Take a backbone with a pyramid, or name `levels` of the head."
            )
        if len({self.channels[name] for name in levels}) > 1:
            raise ValueError(f"{who} shares one tower over levels of equal width; found {self.channels}.")
        return levels
