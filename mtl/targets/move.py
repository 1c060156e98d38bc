"""`Move`: how augmentation moved a picture, and what classes are called in a mirror."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTERS = {"l": "r", "r": "l", "L": "R", "R": "L"}
_LETTER = re.compile(r"(?<![^\W_])[lrLR](?![^\W_])|(?<=[a-z\d])[LR](?![^\W_])")  # `l_hip`, `hip.R`, `hipL`


@dataclass(frozen=True)
class Move:
    """How augmentation moved a picture, after the crop: what a value changes beside its place.

    Args:
        zoom: factor on the size of objects.
        flip_horizontal: whether left and right changed places.
        flip_vertical: whether top and bottom changed places.
        quarter_turns: turns by 90 degrees, counter-clockwise.
    """

    zoom: float = 1.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    quarter_turns: int = 0

    @property
    def mirrors(self) -> bool:
        """Whether left is right now; both flips together are half a turn."""
        return self.flip_horizontal != self.flip_vertical


def mirrored(names: Sequence[str]) -> list[int]:
    """For each class the index of the class that it is in a mirror: itself, or the one whose name has the other side.

    Sides are words, as in `left_hip`, or letters, as in `l_hip` and `hip.L`.

    Args:
        names: names of the classes.
    """
    index = {name: place for place, name in enumerate(names)}
    others = {name: [other for other in _other_sides(name) if other in index] for name in names}
    return [index[others[name][0]] if others[name] else place for name, place in index.items()]


def _other_sides(name: str) -> list[str]:
    """What the class of the other side may be called."""
    pairs = [pair for sides in _SIDES for pair in (sides, sides[::-1])]
    words = [name.replace(one, other) for one, other in pairs if one in name][:1]
    # a class that is a letter, and not a part with a side, stays
    letter = _LETTER.sub(lambda match: _LETTERS[match[0]], name) if len(name) > 1 else name
    return [*words, letter] if letter != name else words
