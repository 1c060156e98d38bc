"""A file of values for each picture, one for every pixel: what it means, and how it is read.

Shapes: H x W pixels.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors

from mtl.data.folder.image_labels import from_spec
from mtl.data.images import read_indices, read_values
from mtl.data.resize import FitMode, fit_mask
from mtl.errors import did_you_mean
from mtl.targets.pixel_map import PixelMap
from mtl.targets.target import IGNORE_INDEX, kinds
from mtl.task import Task

_NO_CLASS = -1  # a number that means nothing
_TABLE = 65536  # numbers up to which a table is made


@dataclass(frozen=True)
class MapFiles:
    """How the maps of one task are stored: picture files named as their pictures.

    Classes are in one channel, or in a palette. Numbers, such as depths and the components of normals, are in as many
    channels as a pixel has values, of 8 or 16 bits: value = number * `scale` + `offset`.

    Args:
        folder: folder of the maps, relative to `root`.
        classes: class names in the order of their index.
        first: number in the file that stands for the first class.
        groups: in place of `classes`: class names, each with the numbers in the file that it stands for, or with the
            colours: `road: [[128, 64, 128]]`. So two tasks can read one folder, for example all classes, and road
            against the rest.
        ignore: numbers or colours in the file that mean "not annotated"; for kinds of numbers with several channels,
            in all of them.
        suffix: what follows the picture's name in the file's: the extension, or `_mask.png`.
        replace: where files are not named as their pictures: regular expressions, and what stands in the place of their
            matches in the picture's name: `{^train/: trainannot/}` or `{_leftImg8bit$: _gtFine_labelIds}`.
        kind: what the maps hold: `segmentation`, or a kind of numbers (`depth`, `inverse_depth`, `normals`, `edges`).
        scale: for kinds of numbers: unit of the file in the unit of the task, such as 0.001 for millimetres.
        offset: for kinds of numbers: value of a 0 in the file.

    Raises:
        ValueError: without classes, if a number of a group has two meanings, or for a setting without effect.
    """

    folder: str
    classes: list[str] = field(default_factory=list)
    first: int = 0
    groups: dict[str, list[int | list[int]]] = field(default_factory=dict)
    ignore: list[int | list[int]] = field(default_factory=list)
    suffix: str = ".png"
    replace: dict[str, str] = field(default_factory=dict)
    kind: str = "segmentation"
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        for pattern, text in self.replace.items():
            try:
                re.sub(pattern, text, "")
            except re.error as error:
                raise ValueError(
                    f"maps in {self.folder!r}: {pattern!r}: {text!r} in `replace` is not a regular expression with its "
                    f"replacement ({error}). Put a backslash before each of .^$*+?()[{{|\\ that is meant as such."
                ) from error
        if not self._target().needs_classes:
            self._check_numbers()
            return
        if (self.scale, self.offset) != (1.0, 0.0):
            raise ValueError(f"maps in {self.folder!r} hold classes, which have no `scale` and no `offset`.")
        if bool(self.classes) == bool(self.groups) or (self.groups and self.first):
            raise ValueError(
                f"maps in {self.folder!r}: give `classes` (with `first`), or `groups`: class names with the numbers of "
                "each."
            )
        numbers = [*self.ignore, *(number for group in self.groups.values() for number in group)]
        if twice := [number for number in numbers if numbers.count(number) > 1]:
            what = "number" if isinstance(twice[0], int) else "colour"
            raise ValueError(f"maps in {self.folder!r}: {what} {twice[0]} stands in two of `groups` and `ignore`.")
        self._check_colors(numbers)

    @classmethod
    def of(cls, spec: Any) -> "MapFiles":
        """The spec from whatever a config holds: itself, a mapping, or a namespace.

        Args:
            spec: keyword arguments in any of these forms.
        """
        return from_spec(cls, spec, "map task")

    def task(self, name: str) -> Task:
        """The task that these maps teach.

        Args:
            name: the task's name.
        """
        return Task(name, self.kind, class_names=tuple(self.classes or self.groups))

    def file(self, root: Path, picture: str) -> Path:
        """The map of one picture.

        Args:
            root: folder of the data set.
            picture: the picture's name.
        """
        for pattern, text in self.replace.items():
            picture = re.sub(pattern, text, picture)
        return root / self.folder / f"{picture}{self.suffix}"

    def read(self, path: str, size: tuple[int, int], mode: FitMode, max_pixels: int | None) -> tv_tensors.Mask:
        """The target of the picture: class indices [*size], or numbers [..., *size] of the kind's shape.

        Pixels that nobody annotated, or outside the picture, are -100 or NaN.

        Args:
            path: the file.
            size: height and width of the canvas.
            mode: how the picture is made to fit.
            max_pixels: most pixels of the file.

        Raises:
            ValueError: for a file with a number that is no class, or with values that the kind does not allow.
        """
        target = self._target()
        if not target.needs_classes:
            values = self._numbers(path, target, max_pixels)
            return tv_tensors.Mask(fit_mask(values, size, mode, torch.nan))
        stored_HW = read_indices(path, max_pixels, self._of_colors)
        labels_HW = self._labels(stored_HW)
        self._refuse_unknown(stored_HW[labels_HW == _NO_CLASS], path)
        return tv_tensors.Mask(fit_mask(torch.from_numpy(labels_HW), size, mode, IGNORE_INDEX).long())

    def _target(self) -> type[PixelMap]:
        known = {name: one for name, one in kinds().items() if issubclass(one, PixelMap)}
        if self.kind not in known:
            raise ValueError(
                f"maps in {self.folder!r}: kind {self.kind!r} has no value for every pixel; such kinds are "
                f"{', '.join(sorted(known))}.{did_you_mean(self.kind, known)}"
            )
        return known[self.kind]

    @property
    def _of_colors(self) -> bool:
        return any(isinstance(number, list | tuple) for group in self.groups.values() for number in group)

    def _check_colors(self, numbers: list[int | list[int]]) -> None:
        colors = [color for color in numbers if not isinstance(color, int)]
        if not colors:
            return
        wrong = [color for color in colors if len(color) != 3 or not all(0 <= part <= 255 for part in color)]
        if wrong or len(colors) < len(numbers):
            held = f"{wrong[0]} is not one" if wrong else "there are colours and single numbers"
            raise ValueError(
                f"maps in {self.folder!r}: a colour is [red, green, blue], each 0 to 255, and then all of `groups` and "
                f"`ignore` are colours; {held}. Write groups: {{road: [[128, 64, 128]]}}."
            )

    def _check_numbers(self) -> None:
        if self.classes or self.groups or self.first:
            raise ValueError(
                f"maps in {self.folder!r} are of kind {self.kind!r}, which has no classes; remove `classes`, `groups` "
                "and `first`."
            )
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale == 0:
            raise ValueError(
                f"maps in {self.folder!r}: scale={self.scale} and offset={self.offset} must be finite, and scale not 0."
            )

    def _numbers(self, path: str, target: type[PixelMap], max_pixels: int | None) -> Tensor:
        stored = torch.from_numpy(read_values(path, max_pixels))
        unknown = torch.isin(stored, torch.tensor(self.ignore, dtype=stored.dtype))
        unknown_HW = unknown.all(-1) if unknown.ndim == 3 else unknown
        values = stored * self.scale + self.offset
        values[unknown_HW] = torch.nan
        try:
            return target.of_numbers(values)
        except ValueError as error:
            raise ValueError(f"map {path!r}: {error}") from error

    def _labels(self, stored_HW: NDArray[np.int64]) -> NDArray[np.int16]:
        """The class index of every pixel; -1 where there is none."""
        groups = list(self.groups.values()) or [[self.first + index] for index in range(len(self.classes))]
        meaning = [
            (_code(number), index)
            for index, numbers in [*enumerate(groups), (IGNORE_INDEX, self.ignore)]
            for number in numbers
        ]
        largest = int(stored_HW.max(initial=0))
        if largest < _TABLE:
            # one look-up a pixel: comparing every pixel with every number took most of the time of a training step's
            # data
            table = np.full(largest + 1, _NO_CLASS, np.int16)
            for number, index in meaning:
                if number <= largest:
                    table[number] = index
            return table[stored_HW]
        numbers, indices = np.array(sorted(meaning)).T
        place_HW = np.searchsorted(numbers, stored_HW).clip(max=len(numbers) - 1)
        return np.where(numbers[place_HW] == stored_HW, indices[place_HW], _NO_CLASS).astype(np.int16)

    def _refuse_unknown(self, numbers: NDArray[Any], path: str) -> None:
        if len(numbers):
            known = f"{self.first} to {self.first + len(self.classes) - 1}"
            if self.groups:
                known = ", ".join(str(number) for group in self.groups.values() for number in group)
            some = np.unique(numbers).tolist()[:5]
            found = ", ".join(str([*number.to_bytes(3, "big")] if self._of_colors else number) for number in some)
            what = "colour" if self._of_colors else "number"
            raise ValueError(
                f"map {path!r} has {what}s {found}; its classes are {known}. Correct the file, add the class, or list "
                f"the {what} in `ignore`."
            )


def _code(color: int | list[int]) -> int:
    """A colour as `read_indices` writes it."""
    return color if isinstance(color, int) else int.from_bytes(bytes(color), "big")
