"""One split in the layout of the MTAN release: `<folder>/<field>/<number>.npy`, numbered from 0 without gaps.

Shapes: N samples, H x W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.targets.target import IGNORE_INDEX
from mtl.task import Task

_MOST_CLASSES = 2**31


@dataclass(frozen=True)
class ArrayField:
    """Where the values of one task lie, and what they mean.

    Args:
        folder: folder below the split's folder.
        read: an array of a file as the target of a sample.
    """

    folder: str
    read: Callable[[NDArray[np.generic]], Tensor]


class ArrayFiles(Dataset[Sample]):
    """Samples of one split.

    Args:
        root: folder of the split, with `image` and a folder for each field.
        fields: by task.
        tasks: the tasks, by name.

    Raises:
        ValueError: if folders are missing, or hold other numbers of files than `image`.
    """

    def __init__(self, root: Path, fields: Mapping[str, ArrayField], tasks: Mapping[str, Task]) -> None:
        self.root = root
        self.fields = dict(fields)
        self.tasks = dict(tasks)
        self.count = _count(root / "image")
        for field in fields.values():
            found = _count(root / field.folder)
            if found != self.count:
                raise ValueError(
                    f"{str(root / field.folder)!r} has {found} files, {str(root / 'image')!r} has {self.count}. Copy "
                    "the data set again."
                )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        pixels = self._picture(self.root / "image" / f"{index}.npy")
        image = torch.from_numpy(np.ascontiguousarray(pixels)).movedim(-1, 0)
        height, width = image.shape[-2:]
        sample: Sample = {
            # 8 bits as all pictures: augmentation and colour changes work on them
            "image": tv_tensors.Image((image.float().clamp(0, 1) * 255).round().to(torch.uint8)),
            "image_id": index,
            "orig_size": torch.tensor([height, width]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }
        for name, field in self.fields.items():
            path = self.root / field.folder / f"{index}.npy"
            array = load_array(path)
            try:
                values = field.read(array)
            except (ValueError, RuntimeError, IndexError) as error:
                raise ValueError(f"{str(path)!r} is an array {list(array.shape)}: {error}. Copy it again.") from error
            if values.shape[-2:] != (height, width):
                raise ValueError(f"{str(path)!r} is {list(values.shape[-2:])}, its picture {[height, width]}.")
            task = self.tasks[name]
            if task.num_classes and int(values.max()) >= task.num_classes:
                raise ValueError(
                    f"{str(path)!r} has class {int(values.max())}; task {name!r} has classes 0 to "
                    f"{task.num_classes - 1}. Take the labels of that many classes."
                )
            sample[name] = tv_tensors.Mask(values)
        return sample

    @staticmethod
    def _picture(path: Path) -> NDArray[np.generic]:
        pixels = load_array(path)
        if pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise ValueError(f"{str(path)!r} is {list(pixels.shape)}; a picture is [H,W,3].")
        # pixels that were interpolated may be a little outside 0..1; bytes would become white
        low, high = float(pixels.min()), float(pixels.max())
        if not (low > -1 and high < 2):
            raise ValueError(f"{str(path)!r} has values {low:g} to {high:g}; a picture has 0 to 1, and no NaN.")
        return pixels


def read_classes(array: NDArray[np.generic]) -> Tensor:
    """Class indices [H,W]; numbers below 0 mean "not annotated".

    Args:
        array: [H,W].

    Raises:
        ValueError: for a number that is not whole.
    """
    numbers = array.astype(np.float64)
    if not ((numbers == np.round(numbers)) & (np.abs(numbers) < _MOST_CLASSES)).all():  # nor is NaN
        raise ValueError("it has numbers that are not whole, or far too large, so they are no classes")
    labels = torch.from_numpy(array.astype(np.int64))
    return torch.where(labels < 0, IGNORE_INDEX, labels)


def read_positive(array: NDArray[np.generic]) -> Tensor:
    """Numbers [H,W], such as depths; 0 and below means "not measured" and becomes NaN.

    Args:
        array: [H,W,1] or [H,W].
    """
    values = torch.from_numpy(array.astype(np.float32)).reshape(array.shape[:2])
    return torch.where(values > 0, values, torch.nan)


def read_vectors(array: NDArray[np.generic]) -> Tensor:
    """Unit vectors [3,H,W]; those without length mean "unknown" and become NaN.

    Args:
        array: [H,W,3].
    """
    vectors = torch.from_numpy(array.astype(np.float32)).movedim(-1, 0)
    length = vectors.norm(dim=0)
    # files of half precision are not quite of length 1
    return torch.where(length > 0.5, vectors / length, torch.nan)


def _count(folder: Path) -> int:
    """Number of files `0.npy`, `1.npy`, ... of a folder."""
    numbers = sorted(int(file.stem) for file in folder.glob("*.npy") if file.stem.isdigit())
    if not numbers:
        raise ValueError(
            f"{str(folder)!r} has no files 0.npy, 1.npy, ... Set `root` to the folder that holds train and val."
        )
    if numbers != list(range(len(numbers))):
        missing = next(number for number in range(numbers[-1]) if number not in set(numbers))
        raise ValueError(f"{str(folder)!r} has {len(numbers)} files but no {missing}.npy. Copy the data set again.")
    return len(numbers)


def load_array(path: Path) -> NDArray[np.generic]:
    """The array of a `.npy` file.

    Args:
        path: the file.

    Raises:
        ValueError: if it is missing or damaged.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except Exception as error:  # the header is an expression, whose parser raises anything
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(path)!r} cannot be read as an array: {why[:200]}. Copy it again.") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError(f"{str(path)!r} is an archive of arrays; expected one array.")
    if found.dtype.kind not in "biuf" or not found.size:
        raise ValueError(f"{str(path)!r} is an array {list(found.shape)} of {found.dtype}; expected numbers.")
    array: NDArray[np.generic] = found.astype(found.dtype.newbyteorder("="), copy=False)
    return array
