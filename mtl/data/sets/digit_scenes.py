"""`DigitScenes`: scenes composed of real handwritten digits; the default data set, which needs no download.

Source: the 1,797 digits of 8 x 8 pixels bundled with scikit-learn (UCI Optical Recognition of Handwritten Digits,
Alpaydin and Kaynak, 1998). Digits in training scenes never appear in validation or test scenes.
Shapes: N scenes, S digit slots per scene, P pasted digits, H x W pixels.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.augment.augment import Augment
from mtl.data.module import JointDataModule
from mtl.errors import check_least
from mtl.task import Task

ImageTask = Literal["largest", "count", "parity"]

CLASS_NAMES = tuple(str(digit) for digit in range(10))
_MAX_OVERLAP = 0.05  # IoU of two boxes
_PLACEMENTS = 20  # tries to place a digit before it is dropped
_SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}  # of the source digits of each class


class DigitScenes(JointDataModule):
    """Detection of ten digit classes, and image-level tasks that depend on the digits' classes and sizes.

    Args:
        image_tasks: image-level tasks: `largest` (class of the digit with the largest box), `count` (number of
            digits, regression), `parity` (of the largest digit, 2 classes).
        num_train: number of training scenes.
        num_val: number of validation scenes.
        num_test: number of test scenes.
        image_size: width and height of a scene in pixels.
        min_digit_px: size of the smallest digit.
        max_digit_px: size of the largest digit.
        max_digits: maximum number of digits per scene; the minimum is 1.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        texture: strength of the low-frequency background, as a share of full brightness.
        batch_size: scenes per training step and process.
        eval_batch_size: scenes per validation and test step.
        num_workers: loader processes; the scenes are in memory, so 0 is best.
        seed: seed of the scenes, of their order and of augmentation; on the command line, where a config does not set
            it, the seed of `seed_everything`.
        augment: augmentation of training scenes; none by default, since generating new scenes is cheaper.
        balance: draw scenes so that the classes of one task come more equally often, as `JointDataModule` says.
    """

    def __init__(
        self,
        image_tasks: list[ImageTask] | None = None,
        num_train: int = 8000,
        num_val: int = 1000,
        num_test: int = 1000,
        image_size: int = 64,
        min_digit_px: int = 12,
        max_digit_px: int = 28,
        max_digits: int = 4,
        noise: float = 0.05,
        texture: float = 0.3,
        batch_size: int = 32,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
        balance: dict[str, float] | None = None,
    ) -> None:
        tasks = self.declare_tasks(image_tasks)
        super().__init__(tasks, batch_size, eval_batch_size, num_workers, seed, augment, balance=balance)
        if not 8 <= min_digit_px <= max_digit_px <= image_size:
            raise ValueError(
                f"digit sizes {min_digit_px}..{max_digit_px} px must be within 8..image_size={image_size}."
            )
        check_least(1, max_digits=max_digits, num_train=num_train, num_val=num_val, num_test=num_test)
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.options = {
            "image_size": image_size,
            "min_digit_px": min_digit_px,
            "max_digit_px": max_digit_px,
            "max_digits": max_digits,
            "noise": noise,
            "texture": texture,
        }

    @classmethod
    def declare_tasks(cls, image_tasks: list[ImageTask] | None = None, **_: Any) -> dict[str, Task]:
        known = {
            "largest": Task("largest", "classification", class_names=CLASS_NAMES),
            "count": Task("count", "regression"),
            "parity": Task("parity", "classification", class_names=("even", "odd")),
        }
        names = ["largest"] if image_tasks is None else image_tasks
        return {"boxes": Task("boxes", "detection", class_names=CLASS_NAMES), **{name: known[name] for name in names}}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        sizes = {"num_train": 6, "num_val": 3, "num_test": 3, "image_size": 32, "max_digit_px": 16}
        return {"image_tasks": ["largest", "count", "parity"], **sizes}

    def setup(self, stage: str) -> None:
        # once: `fit` followed by `test` calls `setup` twice
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                scenes = SceneSet(split, self.counts[split], self.seed, list(self.tasks), **self.options)
                setattr(self, f"{split}_set", scenes)


class SceneSet(Dataset[Sample]):
    """The scenes of one split, generated at once and kept in memory.

    Args:
        split: `train`, `val` or `test`.
        num_scenes: number of scenes.
        seed: random seed; each split draws different numbers from it.
        tasks: the tasks whose targets a sample has.
        options: `image_size` and the other settings of `DigitScenes`.
    """

    def __init__(self, split: str, num_scenes: int, seed: int, tasks: list[str], **options: Any) -> None:
        rng = np.random.default_rng([seed, list(_SHARES).index(split)])
        digits, classes = source_digits(split)
        source = rng.integers(len(digits), size=(num_scenes, options["max_digits"]))
        self.tasks = tasks
        self.labels = classes[source]
        self.boxes, corners, sizes, self.present = _layout(rng, digits[source], **options)
        self.images = _render(rng, digits[source], corners, sizes, self.present, **options)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        present = self.present[index]
        boxes, labels = self.boxes[index][present], self.labels[index][present]
        size = self.images.shape[-1]
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        largest = int(labels[areas.argmax()])
        targets = {
            "largest": largest,
            "count": float(len(labels)),
            "parity": largest % 2,
        }
        return {
            "image": tv_tensors.Image(self.images[index]),
            "image_id": index,
            "orig_size": torch.tensor([size, size]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
            "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(boxes).float(), format="XYXY", canvas_size=(size, size)),
            "box_labels": torch.from_numpy(labels),
            **{task: targets[task] for task in self.tasks if task != "boxes"},
        }


def source_digits(split: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The source digits of one split, the same for every seed.

    Args:
        split: `train`, `val` or `test`.

    Returns:
        Brightness in 0..1 [P,8,8] and class [P].
    """
    bunch = load_digits()
    low, high = _SHARES[split]
    order = np.random.default_rng(0).permutation(len(bunch.target))
    keep = []
    for digit in range(10):
        rows = order[bunch.target[order] == digit]
        keep.append(rows[int(low * len(rows)) : int(high * len(rows))])
    rows = np.concatenate(keep)
    return (bunch.images[rows] / 16).astype(np.float32), bunch.target[rows].astype(np.int64)


def _layout(
    rng: np.random.Generator, digits_NS88: Any, image_size: int, min_digit_px: int, max_digit_px: int, **options: Any
) -> tuple[Any, Any, Any, Any]:
    """Boxes [N,S,4] of the ink, corners [N,S,2] (y, x) and sizes [N,S] of the digits, which slots are used [N,S]."""
    num_scenes, slots = digits_NS88.shape[:2]
    sizes = rng.integers(min_digit_px, max_digit_px + 1, size=(num_scenes, slots))
    wanted = np.arange(slots) < rng.integers(1, slots + 1, size=(num_scenes, 1))
    ink = digits_NS88 > 0.2
    extents = []  # y0, y1, x0, x1 of the ink as shares of the digit's square
    for axis in (3, 2):
        line = ink.any(axis)
        extents += [line.argmax(-1) / 8, 1 - line[..., ::-1].argmax(-1) / 8]
    offsets = np.stack([extents[2], extents[0], extents[3], extents[1]], -1) * sizes[..., None]
    boxes = np.zeros((num_scenes, slots, 4))
    corners = np.zeros((num_scenes, slots, 2), np.int64)
    placed = np.zeros((num_scenes, slots), bool)
    for slot in range(slots):
        for _ in range(_PLACEMENTS):
            todo = np.flatnonzero(wanted[:, slot] & ~placed[:, slot])
            if not len(todo):
                break
            room = image_size - sizes[todo, slot]
            corner = (rng.random((len(todo), 2)) * (room[:, None] + 1)).astype(np.int64)
            box = offsets[todo, slot] + np.tile(corner[:, ::-1], 2)
            free = (_iou(box[:, None], boxes[todo]) * placed[todo]).max(1) <= _MAX_OVERLAP
            rows = todo[free]
            boxes[rows, slot], corners[rows, slot], placed[rows, slot] = box[free], corner[free], True
    return boxes, corners, sizes, placed


def _iou(a: Any, b: Any) -> Any:
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), -1)
    both = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1)
    return common / np.maximum(both - common, 1e-9)


def _render(
    rng: np.random.Generator, digits_NS88: Any, corners: Any, sizes: Any, placed: Any, **options: Any
) -> Tensor:
    """Coloured digits on a textured, noisy background, uint8 [N,3,H,W]."""
    num_scenes, side = len(digits_NS88), options["image_size"]
    coverage = torch.zeros(num_scenes * side * side)
    scene_of = np.broadcast_to(np.arange(num_scenes)[:, None], placed.shape)
    for size in np.unique(sizes[placed]):
        rows = placed & (sizes == size)
        digits_P = torch.from_numpy(digits_NS88[rows])[:, None]
        # the 8 x 8 source counts ink pixels, so it already contains half a cell of blur
        digits_P = F.interpolate(digits_P, size=(int(size), int(size)), mode="bilinear", align_corners=False)[:, 0]
        y, x = (torch.from_numpy(corners[rows][:, axis]) for axis in (0, 1))
        cells = torch.arange(int(size))
        pixels = (torch.from_numpy(scene_of[rows])[:, None, None] * side + y[:, None, None] + cells[:, None]) * side
        pixels = pixels + x[:, None, None] + cells
        coverage.scatter_reduce_(0, pixels.flatten(), digits_P.flatten(), "amax")
    draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
    # a 4 x 4 pattern, enlarged by one matrix product per axis
    enlarge = F.interpolate(torch.eye(4)[None], size=side, mode="linear", align_corners=True)[0]
    scenes = torch.empty(num_scenes, 3, side, side, dtype=torch.uint8)
    # in pieces that fit into the CPU cache: several times faster than all scenes at once
    for piece, cover in zip(scenes.split(64), coverage.view(num_scenes, 1, side, side).split(64), strict=True):
        pattern = torch.rand(len(piece), 3, 4, 4, generator=draws) * options["texture"]
        ink = torch.empty(len(piece), 3, 1, 1).uniform_(0.6, 1.0, generator=draws)
        scene = (enlarge.T @ pattern @ enlarge).lerp(ink, cover)
        scene += options["noise"] * torch.randn(scene.shape, generator=draws)
        piece.copy_(scene.clamp_(0, 1).mul_(255).round_())
    return scenes
