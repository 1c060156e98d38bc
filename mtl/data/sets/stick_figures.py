"""`StickFigures`: drawn people who face the camera, with their joints; keypoints without a download.

Left and right are the person's own, so a left hand is on the right of the picture, unless an arm crosses the body.
Shapes: N figures, J joints.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.augment.augment import Augment
from mtl.data.module import JointDataModule
from mtl.task import Task

_PAIRS = ("shoulder", "elbow", "hand", "hip", "knee", "foot")
JOINTS = ("head", *(f"{side}_{part}" for part in _PAIRS for side in ("left", "right")))
_SPLITS = ("train", "val", "test")
_SUPERSAMPLING = 3  # drawn larger and reduced, so that lines have no steps


class StickFigures(JointDataModule):
    """One person in each picture: `joints` (13 keypoints) and `raised` (hands above the head: 0, 1 or 2).

    Args:
        num_train: number of training pictures.
        num_val: number of validation pictures.
        num_test: number of test pictures.
        image_size: width and height of a picture in pixels.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        batch_size: pictures per training step and process.
        eval_batch_size: pictures per validation and test step.
        num_workers: loader processes; the pictures are in memory, so 0 is best.
        seed: seed of the pictures, of their order and of augmentation.
        augment: augmentation of training pictures.

    Raises:
        ValueError: for a number that is out of range.
    """

    def __init__(
        self,
        num_train: int = 2000,
        num_val: int = 200,
        num_test: int = 500,
        image_size: int = 64,
        noise: float = 0.04,
        batch_size: int = 32,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed, augment)
        if min(num_train, num_val, num_test) < 1 or image_size < 24 or noise < 0:
            raise ValueError(
                f"num_train, num_val and num_test must be at least 1, image_size={image_size} at least 24, "
                f"noise={noise} at least 0."
            )
        self.counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
        self.image_size, self.noise = image_size, noise

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "joints": Task("joints", "keypoints", class_names=JOINTS),
            "raised": Task("raised", "classification", class_names=("none", "one", "both")),
        }

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"num_train": 6, "num_val": 3, "num_test": 3, "image_size": 32}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                rng = np.random.default_rng([self.seed, _SPLITS.index(split)])
                setattr(self, f"{split}_set", FigureSet(self.counts[split], self.image_size, self.noise, rng))


class FigureSet(Dataset[Sample]):
    """Figures of one split, drawn at once and kept in memory.

    Args:
        count: N.
        size: side of the pictures in pixels.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        rng: random numbers.
    """

    def __init__(self, count: int, size: int, noise: float, rng: np.random.Generator) -> None:
        self.joints_NJ2 = np.stack([random_joints(rng) for _ in range(count)]) * size
        images = np.stack([_draw(joints, size, rng) for joints in self.joints_NJ2]).astype(np.float32)
        images += 255 * noise * rng.standard_normal(images.shape, np.float32)
        self.images = torch.from_numpy(images.clip(0, 255).round().astype(np.uint8)).movedim(-1, 1).contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        joints, size = self.joints_NJ2[index], self.images.shape[-1]
        hands = joints[[JOINTS.index("left_hand"), JOINTS.index("right_hand")], 1]
        points = torch.from_numpy(joints).float()
        return {
            "image": tv_tensors.Image(self.images[index]),
            "image_id": index,
            "orig_size": torch.tensor([size, size]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
            "joints": tv_tensors.KeyPoints(points, canvas_size=(size, size)),
            "raised": int((hands < joints[0, 1]).sum()),
        }


def random_joints(rng: np.random.Generator) -> NDArray[np.float64]:
    """The joints of one person as shares of the picture, [J,2], all inside it.

    Args:
        rng: random numbers.
    """
    while True:
        scale = rng.uniform(0.14, 0.24)  # length of the torso
        neck = np.array([rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.45)])
        lean = rng.uniform(-0.25, 0.25)
        down, across = np.array([math.sin(lean), math.cos(lean)]), np.array([math.cos(lean), -math.sin(lean)])
        places = {"head": neck - 0.45 * scale * down}
        for side, sign in (("left", 1), ("right", -1)):
            shoulder, hip = neck + sign * 0.4 * scale * across, neck + scale * down + sign * 0.25 * scale * across
            # angles from straight down, outwards; an arm may go up, and a little across the body
            arm, leg = rng.uniform(-0.4, 2.9), rng.uniform(-0.1, 0.7)
            elbow = shoulder + 0.55 * scale * _towards(sign * arm)
            knee = hip + 0.65 * scale * _towards(sign * leg)
            hand = elbow + 0.55 * scale * _towards(sign * (arm + rng.uniform(-0.2, 1.0)))
            foot = knee + 0.65 * scale * _towards(sign * (leg - rng.uniform(0.0, 0.5)))
            limbs = dict(zip(_PAIRS, (shoulder, elbow, hand, hip, knee, foot), strict=True))
            places |= {f"{side}_{part}": place for part, place in limbs.items()}
        joints = np.stack([places[name] for name in JOINTS])
        if joints.min() > 0.03 and joints.max() < 0.97:
            return joints


def _towards(angle: float) -> NDArray[np.float64]:
    return np.array([math.sin(angle), math.cos(angle)])


def _draw(joints_J2: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture [size,size,3]: a person with a shirt and trousers before a background of two colours."""
    side, joint = size * _SUPERSAMPLING, dict(zip(JOINTS, (joints_J2 * _SUPERSAMPLING).tolist(), strict=True))
    torso = math.dist(joint["left_shoulder"], joint["left_hip"])
    skin, shirt, trousers = rng.integers(30, 226, (3, 3))
    image = Image.new("RGB", (side, side), tuple(int(value) for value in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    floor = rng.uniform(0.5, 0.9) * side
    draw.rectangle((0, floor, side, side), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    corners = [tuple(joint[name]) for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    draw.polygon(corners, fill=tuple(shirt.tolist()))
    for limb, colour in (("shoulder elbow hand", shirt), ("hip knee foot", trousers)):
        for which in ("left", "right"):
            line = [tuple(joint[f"{which}_{part}"]) for part in limb.split()]
            draw.line(line, fill=tuple(colour.tolist()), width=max(2, round(0.16 * torso)), joint="curve")
    for name, radius in (("head", 0.3), ("left_hand", 0.12), ("right_hand", 0.12)):
        (x, y), r = joint[name], radius * torso
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(skin.tolist()))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))
