"""`ListedPicture`: one picture of a file that lists many, with its boxes."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ListedPicture:
    """One entry of a list of pictures.

    Args:
        id: its id in the list, for messages.
        file_name: the picture, as written there.
        declared: height and width stated there.
        boxes: xyxy px, or shares of the picture's width and height.
        classes: class names of the boxes.
        ignored: rows of boxes around crowds.
        in_shares: whether `boxes` are shares.
    """

    id: Any
    file_name: str
    declared: tuple[int, int] | None = None
    boxes: list[list[float]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    in_shares: bool = False
