"""`NYUD`: indoor scenes with 40 classes, depth, surface normals and edges, in the files of ASTMT, MTI-Net and ATRC.

Sources: pictures: Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. Files:
Maninis, Radosavovic, Kokkinos, "Attentive Single-Tasking of Multiple Tasks", CVPR 2019; read here as
https://github.com/brdav/atrc does: labels count from 1, and 0 is not annotated.
Shapes: H x W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from mtl.batch import Sample
from mtl.data.arrays.array_files import load_array, read_positive, read_vectors
from mtl.data.image_size import checked_size
from mtl.data.images import read_image, read_indices
from mtl.data.module import JointDataModule
from mtl.data.sets.benchmarks.count_check import check_count
from mtl.targets.target import IGNORE_INDEX
from mtl.task import Task

_COUNTS = {"train": 795, "val": 654}
_FOLDERS = {"segmentation": "segmentation", "depth": "depth", "normals": "normals", "edges": "edge"}
_SUFFIX = {"segmentation": ".png", "depth": ".npy", "normals": ".npy", "edges": ".npy"}
_SIZE = (425, 560)


class NYUD(JointDataModule):
    """795 training and 654 test pictures of 425 x 560 pixels; depth in metres.

    Args:
        root: folder with `images`, `segmentation`, `depth`, `normals`, `edge`, and `gt_sets/train.txt` and `val.txt`.
        image_size: height and width that pictures and maps are brought to; as stored by default, as published.
        check: compare the number and size of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`. Validation is on the test pictures, as published.
    """

    def __init__(self, root: str, image_size: tuple[int, int] | None = None, check: bool = True, **kwargs: Any) -> None:
        super().__init__(self.declare_tasks(), **kwargs)
        self.root, self.check = Path(root), check
        self.image_size = None if image_size is None else checked_size(image_size)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "segmentation": Task("segmentation", "segmentation", num_classes=40),
            "depth": Task("depth", "depth"),
            "normals": Task("normals", "normals"),
            "edges": Task("edges", "edges"),
        }

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        sets = {split: self._files(split) for split in _COUNTS}
        self.train_set, self.val_set = sets["train"], sets["val"]
        self.test_set = self.val_set

    def _files(self, split: str) -> "NYUDFiles":
        listed = self.root / "gt_sets" / f"{split}.txt"
        if not listed.is_file():
            raise ValueError(f"there is no file {str(listed)!r}. Set `root` to the folder that holds `gt_sets`.")
        names = listed.read_text("utf-8").split()
        files = NYUDFiles(self.root, names, self.image_size)
        files.refuse_missing(listed)
        if self.check:
            check_count(f"{str(listed)!r} names", len(names), _COUNTS[split])
        size = files.stored_size(0) if names and self.check else _SIZE
        if size != _SIZE:
            raise ValueError(
                f"picture {names[0]!r} of {str(self.root)!r} has {size[0]} x {size[1]} pixels; the benchmark has "
                f"{_SIZE[0]} x {_SIZE[1]}. Copy it again, or set `check: false`."
            )
        return files


class NYUDFiles(Dataset[Sample]):
    """Samples of one split.

    Args:
        root: folder of the data set.
        names: of the pictures, without extension.
        size: height and width of a sample; as stored by default.
    """

    def __init__(self, root: Path, names: list[str], size: tuple[int, int] | None) -> None:
        self.root, self.names, self.size = root, names, size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        image = read_image(self._path("images", index, ".jpg"))
        stored = int(image.shape[-2]), int(image.shape[-1])
        sample: Sample = {"image_id": index, "orig_size": torch.tensor(stored)}
        for task, folder in _FOLDERS.items():
            path = self._path(folder, index, _SUFFIX[task])
            values = _READERS[task](path)
            if values.shape[-2:] != stored:
                raise ValueError(f"{str(path)!r} is {list(values.shape[-2:])}, its picture {list(stored)}.")
            sample[task] = tv_tensors.Mask(values)
        height, width = self.size or stored
        if (height, width) != stored:
            image = F.resize(image, [height, width], antialias=True)
            for task in _FOLDERS:
                sample[task] = F.resize(sample[task], [height, width], interpolation=InterpolationMode.NEAREST_EXACT)
        to_original = torch.tensor([stored[1] / width, stored[0] / height, 0.0, 0.0])
        return sample | {"image": tv_tensors.Image(image), "to_original": to_original}

    def refuse_missing(self, listed: Path) -> None:
        """Refuse a list that names a picture of which a file is missing.

        Args:
            listed: the list, for the message.

        Raises:
            ValueError: naming the first missing file.
        """
        wanted = {"images": ".jpg", **{_FOLDERS[task]: suffix for task, suffix in _SUFFIX.items()}}
        for folder, suffix in wanted.items():
            there = {path.name for path in (self.root / folder).glob(f"*{suffix}")}
            lost = [name for name in self.names if f"{name}{suffix}" not in there]
            if lost:
                raise ValueError(
                    f"{str(listed)!r} names {len(self.names)} pictures; {len(lost)} of them have no file in "
                    f"{str(self.root / folder)!r}, for example {lost[0]}{suffix}. Copy the data set again."
                )

    def stored_size(self, index: int) -> tuple[int, int]:
        """Height and width of a picture in its file.

        Args:
            index: which one.
        """
        height, width = read_image(self._path("images", index, ".jpg")).shape[-2:]
        return int(height), int(width)

    def _path(self, folder: str, index: int, suffix: str) -> Path:
        return self.root / folder / f"{self.names[index]}{suffix}"


def _classes(path: Path) -> Tensor:
    labels = torch.from_numpy(read_indices(path)) - 1
    if int(labels.max()) >= 40:
        raise ValueError(f"{str(path)!r} has class {int(labels.max()) + 1}; classes are 1 to 40, and 0 for none.")
    return torch.where(labels < 0, IGNORE_INDEX, labels)


def _edges(path: Path) -> Tensor:
    array: NDArray[np.generic] = load_array(path)
    values = torch.from_numpy(array.astype(np.float32))
    if values.ndim != 2 or not ((values == 0) | (values == 1)).all():
        raise ValueError(f"{str(path)!r} must hold 0 or 1 for every pixel, [H,W]; it is {list(values.shape)}.")
    return values


_READERS = {
    "segmentation": _classes,
    "depth": lambda path: read_positive(load_array(path)),
    "normals": lambda path: read_vectors(load_array(path)),
    "edges": _edges,
}
