"""`FeatureSpec`: what a backbone promises and a head is built from. `Features`: the tensors themselves.

A level has one of three layouts: `map` [B,C,H,W], `sequence` [B,T,C], `vector` [B,C]. Where sequences of one batch
differ in length, `<level>_mask` [B,T] says which steps are real; a map may have `<level>_mask` [B,H,W].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from mtl.errors import did_you_mean

Layout = Literal["map", "sequence", "vector"]
Features = dict[str, Tensor]  # level name -> values; `<level>_mask` -> bool
MASK = "_mask"
FORMS: dict[Layout, str] = {"map": "[B,C,H,W]", "sequence": "[B,T,C]", "vector": "[B,C]"}
DIMENSIONS: dict[Layout, int] = {"map": 4, "sequence": 3, "vector": 2}


@dataclass(frozen=True)
class FeatureSpec:
    """Widths, strides and layouts of a backbone's features.

    Args:
        channels: channels of each level, for example `{"c4": 64, "p2": 32}`.
        strides: input pixels (or steps) per cell of each level; 1 where not given.
        layouts: layout of each level; `map` where not given.

    Raises:
        ValueError: for a stride or a layout of a level that has no channels.
    """

    channels: dict[str, int]
    strides: dict[str, int] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for level in (*self.strides, *self.layouts):
            if level not in self.channels:
                raise ValueError(f"level {level!r} has no channels; there are {', '.join(self.channels)}.")
        object.__setattr__(self, "strides", {level: self.strides.get(level, 1) for level in self.channels})
        object.__setattr__(self, "layouts", {level: self.layouts.get(level, "map") for level in self.channels})

    @property
    def deepest(self) -> str:
        """The level that sees most: a vector if there is one, else the largest stride; of equal ones the last."""
        levels = list(self.channels)
        return max(reversed(levels), key=lambda level: (self.layouts[level] == "vector", self.strides[level]))

    def of(self, *layouts: Layout) -> list[str]:
        """Names of the levels that have one of these layouts.

        Args:
            layouts: the layouts.
        """
        return [level for level in self.channels if self.layouts[level] in layouts]

    def first(self, layout: Layout) -> str:
        """The first level of a layout, or the first level of all where there is none; `require` then says so.

        Args:
            layout: the layout.
        """
        return next(iter([*self.of(layout), *self.channels]))

    def require(self, levels: Sequence[str], who: str, layouts: Sequence[Layout] = ()) -> list[str]:
        """Check that these levels exist and have a layout that can be used.

        Args:
            levels: names asked for.
            who: who asks, for the message.
            layouts: layouts that can be used; any by default.

        Raises:
            ValueError: naming the levels there are.
        """
        usable = self.of(*layouts) if layouts else list(self.channels)
        for level in levels:
            if level not in usable:
                kind = f" of layout {' or '.join(layouts)}" if layouts else ""
                raise ValueError(
                    f"{who} asks for level {level!r}{kind}; the backbone gives {self._listed()}."
                    f"{did_you_mean(level, usable)}"
                )
        return list(levels)

    def check(self, features: Any, who: str) -> Features:
        """Refuse features that are not what is declared here, before a head fails on them.

        Args:
            features: the levels.
            who: who made them, for the message.

        Returns:
            The features.

        Raises:
            ValueError: naming the level, what it is and what was declared.
        """
        if not isinstance(features, dict):
            raise ValueError(f"{who} gives a {type(features).__name__}; expected a dict: level -> tensor.")
        for level, width in self.channels.items():
            if level not in features:
                raise ValueError(f"{who} gives {', '.join(features)}; its spec declares a level {level!r} as well.")
            shape, layout = features[level].shape, self.layouts[level]
            if len(shape) != DIMENSIONS[layout] or shape[1 if layout == "map" else -1] != width:
                raise ValueError(
                    f"{who} gives level {level!r} as {list(shape)}; its spec declares a {layout} of {width} channels, "
                    f"{FORMS[layout]}. Make FeatureSpec(channels, strides, layouts) say what `forward` gives."
                )
        return features

    def pyramid(self, who: str) -> list[str]:
        """The `p*` levels (equal width, finest first) that a dense head works on.

        Args:
            who: who asks, for the message.

        Raises:
            ValueError: if there is none, or their widths differ.
        """
        named = [level for level in self.of("map") if level.startswith("p")]
        levels = sorted(named, key=lambda level: self.strides[level])
        if not levels:
            raise ValueError(
                f"{who} needs pyramid levels (p2, p3, ...); the backbone gives {self._listed()}. "
                "Take a backbone with a pyramid, or name `levels` of the head."
            )
        if len({self.channels[level] for level in levels}) > 1:
            raise ValueError(f"{who} shares one tower over levels of equal width; found {self.channels}.")
        return levels

    def _listed(self) -> str:
        return ", ".join(
            level if self.layouts[level] == "map" else f"{level} ({self.layouts[level]})" for level in self.channels
        )


def mask_of(features: Features, level: str) -> Tensor | None:
    """Which cells of a level are real, [B,T] or [B,H,W]; None where all are.

    Args:
        features: the features.
        level: the level.
    """
    return features.get(level + MASK)


def as_rows(values: Tensor, layout: Layout) -> Tensor:
    """A level as rows [B,N,C]: the cells of a map, the steps of a sequence, or one row for a vector.

    Args:
        values: the level.
        layout: its layout.
    """
    if layout == "map":
        return values.flatten(2).transpose(1, 2)
    return values if layout == "sequence" else values[:, None]


def zero_padding(features: Features, spec: FeatureSpec) -> Features:
    """The features with 0 in every cell that is padding, so that no gradient comes out of it.

    Args:
        features: values and masks.
        spec: their layouts.
    """
    out = dict(features)
    for level, layout in spec.layouts.items():
        mask = mask_of(features, level)
        if mask is not None and level in features and layout != "vector":
            out[level] = features[level] * mask.unsqueeze(-1 if layout == "sequence" else 1)
    return out
