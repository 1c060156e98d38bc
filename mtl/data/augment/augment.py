"""`Augment`: mosaic, zoom, crop, translation, flips, rotations and colour; boxes, points, labels and masks follow.

All geometric changes are one crop and one resize of a uint8 picture. Colour changes are only drawn here; the device
applies them to the batch (`color`). All random numbers come from the generator that the caller seeds for the sample.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from mtl.data.augment.color import color_matrix
from mtl.data.resize import FILL
from mtl.targets.move import Move
from mtl.targets.target import IGNORE_INDEX, Sample, Target, target_of
from mtl.task import Inputs, Task

COLOR = "augment/color"  # sample and batch key of the colour matrix; no task can have that name


class Augment:
    """Joint augmentation of training samples; a sample without a picture stays as it is.

    In a mirror image classes and points whose names differ in left and right only, such as `turn_left` and
    `turn_right`, change places.

    Args:
        flip_horizontal: probability of mirroring left and right.
        flip_vertical: probability of mirroring top and bottom.
        turn: probability of rotating the picture by 90, 180 or 270 degrees; pictures that are not square only by 180.
        zoom: smallest and largest factor on the size of objects; below 1 adds a grey border, above 1 crops.
        translate: largest shift, as a share of the picture's sides.
        mosaic: probability of combining four pictures in a 2 x 2 grid before the crop. A mosaic has no image-level
            labels, because no class describes four pictures. There is none with a sample that has no picture.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        saturation: largest relative change of saturation.
        hue: largest rotation of the colour circle; 0.5 is half a turn.
        min_visible: a box is dropped if a smaller share of it stays inside the picture.
        lost_box: image-level labels of a picture whose box was dropped: `missing`, because a label such as a count or
            the largest object may now be wrong, or `keep` for labels that describe the whole picture.
        negate: tasks whose number changes its sign in a mirror image, such as a steering angle.
    """

    def __init__(
        self,
        flip_horizontal: float = 0.0,
        flip_vertical: float = 0.0,
        turn: float = 0.0,
        zoom: tuple[float, float] = (1.0, 1.0),
        translate: float = 0.0,
        mosaic: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        min_visible: float = 0.3,
        lost_box: Literal["missing", "keep"] = "missing",
        negate: Sequence[str] = (),
    ) -> None:
        chances = {"flip_horizontal": flip_horizontal, "flip_vertical": flip_vertical, "turn": turn, "mosaic": mosaic}
        for name, value in chances.items():
            if not 0 <= value <= 1:
                raise ValueError(f"augment: {name}={value} is a probability and must be within 0..1.")
        if not 0 < zoom[0] <= zoom[1]:
            raise ValueError(f"augment: zoom={tuple(zoom)} must be two factors above 0, the smaller first.")
        if not 0 <= translate <= 0.5 or not 0 <= hue <= 0.5:
            raise ValueError(f"augment: translate={translate} and hue={hue} must be within 0..0.5.")
        if min(brightness, contrast, saturation) < 0 or max(brightness, contrast, saturation) > 1:
            raise ValueError("augment: brightness, contrast and saturation must be within 0..1.")
        self.flips = (flip_horizontal, flip_vertical)
        self.turn = turn
        self.zoom = (float(zoom[0]), float(zoom[1]))
        self.translate = translate
        self.mosaic = mosaic
        self.color = (brightness, contrast, saturation, hue)
        self.min_visible = min_visible
        self.lost_box = lost_box
        self.negate = tuple(negate)

    def __call__(
        self, dataset: Dataset[Sample], index: int, tasks: Mapping[str, Task], rng: np.random.Generator
    ) -> Sample:
        """One augmented sample.

        Args:
            dataset: samples of equal picture size; a mosaic reads three more of them.
            index: index of the sample.
            tasks: all tasks of the samples, by name.
            rng: random generator of this sample.

        Returns:
            The sample without `to_original`, because original pixels cannot be recovered.
        """
        sample = dict(dataset[index])
        sample.pop("to_original", None)
        if not _has_picture(sample):
            # every sample of a batch has the same entries
            return sample | ({COLOR: color_matrix(1, 1, 1, 0)} if any(self.color) else {})
        size = tuple(sample["image"].shape[-2:])
        targets = [target_of(task) for task in tasks.values()]
        if rng.random() < self.mosaic:
            others = rng.integers(len(dataset), size=3)  # type: ignore[arg-type]
            four = [sample, *(dataset[int(other)] for other in others)]
            sample = _mosaic(four, targets) if all(map(_has_picture, four)) else sample
        sample, zoom = self._view(sample, size, targets, rng)
        flipped = [False, False]
        for axis in (0, 1):
            if rng.random() < self.flips[axis]:
                flipped[axis] = True
                sample = {key: _flip(value, axis) if _moves(value) else value for key, value in sample.items()}
        angle = 0
        if rng.random() < self.turn:
            angle = int(rng.choice((90, 180, 270))) if size[0] == size[1] else 180
            sample = {key: F.rotate(value, angle) if _moves(value) else value for key, value in sample.items()}
        move = Move(zoom, flipped[0], flipped[1], angle // 90)
        for target in _present(targets, sample):
            target.after_geometry(sample, move)
        if move.mirrors:
            for target in _present([target_of(tasks[name]) for name in self.negate], sample):
                sample |= target.negated(sample)
        if any(self.color):
            *factors, hue = (rng.uniform(-amount, amount) for amount in self.color)
            brightness, contrast, saturation = (1 + factor for factor in factors)
            sample[COLOR] = color_matrix(brightness, contrast, saturation, hue)
        return sample

    def check(self, inputs: Inputs, tasks: Mapping[str, Task]) -> None:
        """Refuse data without pictures, colours of pictures that are not RGB, and numbers that are none.

        Args:
            inputs: what the data module declares.
            tasks: what it declares to predict, by name.

        Raises:
            ValueError: saying what does not fit.
        """
        image = inputs.get("image")
        if image is None or image.kind != "image":
            raise ValueError(f"augment moves an input 'image'; the data has {', '.join(inputs)}. Leave augment out.")
        if any(self.color) and image.channels != 3:
            raise ValueError(
                f"augment: brightness, contrast, saturation and hue are for 3 channels; the data has {image.channels}. "
                "Set them to 0."
            )
        numbers = [name for name, task in tasks.items() if type(target_of(task)).negated is not Target.negated]
        for name in self.negate:
            if name not in numbers:
                raise ValueError(
                    f"augment: negate={name!r} is no task whose target is a number; there are "
                    f"{', '.join(numbers) or 'none'}. Classes named left and right change places by themselves."
                )

    def _view(
        self, sample: Sample, size: tuple[int, ...], targets: Sequence[Target], rng: np.random.Generator
    ) -> tuple[Sample, float]:
        """Show a window of the picture, smaller or larger than it, at the size that all samples have; and the zoom."""
        factor = np.exp(rng.uniform(*np.log(self.zoom)))
        window = [max(1, round(side / factor)) for side in size]
        corner = []
        for side, shown in zip(sample["image"].shape[-2:], window, strict=True):
            low, high = min(0, side - shown), max(0, side - shown)
            corner.append(round(rng.uniform(low, high) + shown * rng.uniform(-self.translate, self.translate)))
        if (*window, *corner) == (*size, 0, 0) and sample["image"].shape[-2:] == size:
            return sample, 1.0
        box = corner[0], corner[1], window[0], window[1]
        seen = {key: _window(value, *box, size) if _moves(value) else value for key, value in sample.items()}
        scale = size[0] * size[1] / (window[0] * window[1])
        lost = [target.after_crop(sample, seen, scale, self.min_visible) for target in _present(targets, sample)]
        zoom = math.sqrt(scale)
        return (_without_whole(seen, targets) if any(lost) and self.lost_box == "missing" else seen), zoom


def _mosaic(samples: list[Sample], targets: Sequence[Target]) -> Sample:
    """Four pictures in a 2 x 2 grid of twice the size; a task that one of them lacks is missing."""
    first = samples[0]
    height, width = first["image"].shape[-2:]
    of_tasks = {key for target in targets for key in target.fields}
    mosaic = {key: value for key, value in first.items() if key not in of_tasks}
    rows = [torch.cat([samples[i]["image"], samples[i + 1]["image"]], -1) for i in (0, 2)]
    mosaic["image"] = tv_tensors.wrap(torch.cat(rows, -2), like=first["image"])
    for target in targets:
        if all(_present([target], sample) for sample in samples):
            mosaic |= target.mosaic(samples, height, width)
    return mosaic


def _window(value: Any, top: int, left: int, height: int, width: int, size: tuple[int, ...]) -> Any:
    """Crop to a window that may reach over the border, and resize to `size`."""
    full_height, full_width = F.get_size(value)
    before = max(0, -left), max(0, -top)
    after = max(0, left + width - full_width), max(0, top + height - full_height)
    # crop first: pads, resizes and copies only the visible part
    value = F.crop(value, max(0, top), max(0, left), height - before[1] - after[1], width - before[0] - after[0])
    if any(before + after):
        fill: float = FILL
        if isinstance(value, tv_tensors.Mask):
            fill = torch.nan if value.is_floating_point() else IGNORE_INDEX
            if value.dtype == torch.uint8:  # which takes -100 for 156
                value = tv_tensors.wrap(value.to(torch.int16), like=value)
        value = F.pad(value, [*before, *after], fill=fill)
    if (height, width) == size:
        return value
    if isinstance(value, tv_tensors.Mask):
        # torchvision takes the nearest pixel of the upper left corner, which moves a map by half a pixel
        values = value.as_subclass(torch.Tensor)[None]
        resized = F.resize(values, list(size), interpolation=InterpolationMode.NEAREST_EXACT)[0]
        return tv_tensors.wrap(resized, like=value)
    return F.resize(value, list(size), antialias=True)


def _flip(value: Any, axis: int) -> Any:
    """Exchange left and right (axis 0) or top and bottom (axis 1)."""
    if isinstance(value, tv_tensors.KeyPoints):
        # torchvision 0.29 flips points as if they were indices of pixels, and moves them as places everywhere else
        points = value.as_subclass(torch.Tensor).clone()
        points[..., axis] = value.canvas_size[1 - axis] - points[..., axis]
        return tv_tensors.wrap(points, like=value)
    return (F.horizontal_flip, F.vertical_flip)[axis](value)


def _moves(value: Any) -> bool:
    return isinstance(value, (tv_tensors.Image, tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints))


def _has_picture(sample: Sample) -> bool:
    return sample.get("image") is not None


def _present(targets: Sequence[Target], sample: Sample) -> list[Target]:
    return [target for target in targets if sample.get(target.task.name) is not None]


def _without_whole(sample: Sample, targets: Sequence[Target]) -> Sample:
    """The sample without answers for the whole of it."""
    gone = {key for target in targets if target.whole_sample for key in target.fields}
    return {key: value for key, value in sample.items() if key not in gone}
