"""`Move`: how augmentation moved a picture, and what classes are called in a mirror."""

from collections.abc import Sequence
from dataclasses import dataclass

_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))


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

    Args:
        names: names of the classes.
    """
    index = {name: place for place, name in enumerate(names)}
    return [index.get(_other_side(name), place) for name, place in index.items()]


def _other_side(name: str) -> str:
    for left, right in _SIDES:
        for one, other in ((left, right), (right, left)):
            if one in name:
                return name.replace(one, other)
    return name
