"""`MultiMNIST`: two handwritten digits that overlap, one task for each.

Sources: Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017; as two tasks: Sener, Koltun,
"Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018. Digits come from MNIST's own files.
Here the brighter of two pixels is taken, and nothing is resized; pairs are drawn by `seed`.
Shapes: N pictures.
"""

import gzip
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.module import JointDataModule
from mtl.task import Inputs, InputSpec, Task

_DIGIT_PX, _CANVAS_PX = 28, 36
_COUNTS = {"train": 60_000, "t10k": 10_000}
_GREY: Inputs = MappingProxyType({"image": InputSpec("image", "image", channels=1)})


class MultiMNIST(JointDataModule):
    """Grey pictures of 36 x 36 pixels: one digit at the top left, one at the bottom right, 8 pixels apart.

    Args:
        root: folder with the four files of MNIST, such as `train-images-idx3-ubyte`, also as `.gz`.
        num_val: training pairs that are held out; their digits occur in no training pair.
        pair_seed: seed of the pairs, the same for every run that is compared.
        check: compare the number of digits with MNIST's.
        **kwargs: arguments of `JointDataModule`.
    """

    inputs = _GREY

    def __init__(self, root: str, num_val: int = 10_000, pair_seed: int = 0, check: bool = True, **kwargs: Any) -> None:
        super().__init__(self.declare_tasks(), **kwargs)
        self.root, self.num_val, self.pair_seed, self.check = Path(root), num_val, pair_seed, check

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        digits = tuple(str(digit) for digit in range(10))
        return {name: Task(name, "classification", class_names=digits) for name in ("left", "right")}

    @classmethod
    def declare_inputs(cls, **_: Any) -> Inputs:
        return _GREY

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        images, labels = self._digits("train")
        if not 0 < self.num_val < len(images):
            raise ValueError(f"num_val={self.num_val} must be above 0 and below the {len(images)} training digits.")
        cut = len(images) - self.num_val
        test_images, test_labels = self._digits("t10k")
        self.train_set = Pairs(images[:cut], labels[:cut], self.pair_seed, 0)
        self.val_set = Pairs(images[cut:], labels[cut:], self.pair_seed, 1)
        self.test_set = Pairs(test_images, test_labels, self.pair_seed, 2)

    def _digits(self, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        images = read_idx(self.root / f"{split}-images-idx3-ubyte")
        labels = read_idx(self.root / f"{split}-labels-idx1-ubyte")
        wanted = _COUNTS[split] if self.check else len(images)
        if images.shape != (wanted, _DIGIT_PX, _DIGIT_PX) or labels.shape != (wanted,):
            raise ValueError(
                f"{split} of {str(self.root)!r} has images {list(images.shape)} and labels {list(labels.shape)}; MNIST "
                f"has {wanted} of {_DIGIT_PX} x {_DIGIT_PX}. Copy it again, or set `check: false`."
            )
        return images, labels


class Pairs(Dataset[Sample]):
    """Every digit once at the top left, with another one at the bottom right.

    Args:
        images: digits, uint8 [N,28,28].
        labels: their classes, [N].
        seed: of the pairs.
        number: of the split, which draws other pairs.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], seed: int, number: int) -> None:
        self.images, self.labels = images, labels
        self.other = np.random.default_rng([seed, number]).permutation(len(images))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        canvas, other = np.zeros((1, _CANVAS_PX, _CANVAS_PX), np.uint8), self.other[index]
        canvas[0, :_DIGIT_PX, :_DIGIT_PX] = self.images[index]
        corner = canvas[0, -_DIGIT_PX:, -_DIGIT_PX:]
        np.maximum(corner, self.images[other], out=corner)
        return {
            "image": tv_tensors.Image(torch.from_numpy(canvas)),
            "image_id": index,
            "orig_size": torch.tensor([_CANVAS_PX, _CANVAS_PX]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
            "left": int(self.labels[index]),
            "right": int(self.labels[other]),
        }


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in the IDX format: two zeros, the type 8, the number of axes, their lengths, the values.

    Args:
        path: the file; with `.gz` at its end where it is packed.

    Raises:
        ValueError: if it is missing, or no such file.
    """
    packed = path.with_name(path.name + ".gz")
    if not path.is_file() and not packed.is_file():
        raise ValueError(f"there is no file {str(path)!r} or {packed.name!r}. Set `root` to the folder of MNIST.")
    content = path.read_bytes() if path.is_file() else gzip.decompress(packed.read_bytes())
    axes = content[3] if content[:3] == b"\0\0\x08" else 0
    lengths = np.frombuffer(content[4 : 4 + 4 * axes], ">u4").astype(int)
    if not axes or len(content) != 4 + 4 * axes + lengths.prod():
        raise ValueError(f"{str(path)!r} is no IDX file of bytes, or is cut off. Copy it again.")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(lengths)
