"""`PASCALContext`: 21 classes, parts of people, saliency, normals and edges, in the files of ASTMT, MTI-Net and ATRC.

Sources: pictures: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010. Labels: Mottaghi et al.,
"The Role of Context for Object Detection and Semantic Segmentation in the Wild", CVPR 2014; parts: Chen et al., "Detect
What You Can", CVPR 2014; files, and normals and saliency that other networks predicted: Maninis, Radosavovic, Kokkinos,
"Attentive Single-Tasking of Multiple Tasks", CVPR 2019; read here as https://github.com/brdav/atrc does.
Shapes: H x W pixels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.images import read_image, read_indices, read_values
from mtl.data.module import JointDataModule
from mtl.data.resize import FILL
from mtl.data.sets.benchmarks.count_check import check_count
from mtl.functional.thinning import thin
from mtl.targets.normals import Normals
from mtl.targets.target import IGNORE_INDEX
from mtl.task import Task

_COUNTS = {"train": 4998, "val": 5105}
_LARGEST = 500  # px, a side of a VOC picture
_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_PARTS = ("background", "head", "torso", "upper_arm", "lower_arm", "upper_leg", "lower_leg")
_HEAD = ("hair", "head", "mouth", "nose", "ear", "ebrow", "eye")
_PERSON = 15
# numbers in the maps of all classes whose surfaces have normals: names that NYU has, too
_WITH_NORMALS = (
    3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49, 50, 51, 53, 55, 56, 59,
    61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96, 101, 104, 105, 107, 111, 113, 115, 122, 124, 135,
    141, 142, 143, 146, 150, 154, 157, 158, 159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215,
    216, 219, 220, 223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261, 263, 269, 272,
    273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307, 309, 310, 314, 315, 319, 323, 329,
    330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357, 368, 370, 371, 374, 379, 380, 383, 384, 397, 401, 403, 405,
    407, 408, 411, 412, 413, 414, 417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442, 443, 444, 446, 454, 457,
)  # fmt: skip


class PASCALContext(JointDataModule):
    """4,998 training and 5,105 test pictures of up to 500 x 500 pixels, each in the middle of a larger canvas.

    A picture without people has no label of `human_parts`. Normals are known on surfaces of classes that NYU has.

    Args:
        root: folder `PASCAL_MT` with `JPEGImages`, `semseg`, `human_parts`, `sal_distill`, `normals_distill`,
            `pascal-context/trainval` and `ImageSets/Context/train.txt` and `val.txt`.
        image_size: height and width of the canvas, as published by default; pictures are not resized.
        check: compare the number and size of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`. Validation is on the test pictures, as published.
    """

    def __init__(self, root: str, image_size: tuple[int, int] = (512, 512), check: bool = True, **kwargs: Any) -> None:
        super().__init__(self.declare_tasks(), **kwargs)
        self.root, self.check = Path(root), check
        self.image_size = (int(image_size[0]), int(image_size[1]))

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "segmentation": Task("segmentation", "segmentation", class_names=_CLASSES),
            "human_parts": Task("human_parts", "segmentation", class_names=_PARTS),
            "saliency": Task("saliency", "segmentation", class_names=("background", "salient")),
            "normals": Task("normals", "normals"),
            "edges": Task("edges", "edges"),
        }

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        self.train_set, self.val_set = self._files("train"), self._files("val")
        self.test_set = self.val_set

    def _files(self, split: str) -> "PASCALContextFiles":
        listed = self.root / "ImageSets" / "Context" / f"{split}.txt"
        if not listed.is_file():
            raise ValueError(f"there is no file {str(listed)!r}. Set `root` to the folder that holds `ImageSets`.")
        names = listed.read_text("utf-8").split()
        files = PASCALContextFiles(self.root, names, self.image_size)
        files.refuse_missing(listed)
        if self.check:
            check_count(f"{str(listed)!r} names", len(names), _COUNTS[split])
        height, width = files.image(0).shape[-2:] if names and self.check else (0, 0)
        if max(height, width) > _LARGEST:
            raise ValueError(
                f"picture {names[0]!r} of {str(self.root)!r} has {height} x {width} pixels; no side of the benchmark's "
                f"is above {_LARGEST}. Copy it again, or set `check: false`."
            )
        return files


class PASCALContextFiles(Dataset[Sample]):
    """Samples of one split.

    Args:
        root: folder of the data set.
        names: of the pictures, without extension.
        size: height and width of a sample.
    """

    def __init__(self, root: Path, names: list[str], size: tuple[int, int]) -> None:
        self.root, self.names, self.size = root, names, size

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        """A picture as stored, uint8 [3,H,W].

        Args:
            index: which one.
        """
        return read_image(self.root / "JPEGImages" / f"{self.names[index]}.jpg")

    def __getitem__(self, index: int) -> Sample:
        image, name = self.image(index), self.names[index]
        stored = int(image.shape[-2]), int(image.shape[-1])
        all_classes_HW = _map_of_classes(self.root / "pascal-context" / "trainval" / f"{name}.mat")
        maps = {
            "segmentation": _segmentation(self._segmentation_file(name)),
            "human_parts": _parts(self.root / "human_parts" / f"{name}.mat"),
            "saliency": _saliency(self.root / "sal_distill" / f"{name}.png"),
            "normals": _normals(self.root / "normals_distill" / f"{name}.png", all_classes_HW),
            "edges": torch.from_numpy(edges_between(all_classes_HW)),
        }
        top, left = self._place(stored, name)
        sample: Sample = {"image_id": index, "orig_size": torch.tensor(stored)}
        sample["image"] = tv_tensors.Image(self._on_canvas(image, top, left, FILL))
        sample["to_original"] = torch.tensor([1.0, 1.0, -float(left), -float(top)])
        for task, values in maps.items():
            if values is None:
                continue
            if values.shape[-2:] != stored:
                raise ValueError(
                    f"the map of {task!r} of picture {name!r} in {str(self.root)!r} is {list(values.shape[-2:])}, the "
                    f"picture {list(stored)}."
                )
            unknown = torch.nan if values.is_floating_point() else IGNORE_INDEX
            sample[task] = tv_tensors.Mask(self._on_canvas(values, top, left, unknown))
        return sample

    def refuse_missing(self, listed: Path) -> None:
        """Refuse a list that names a picture of which a file is missing.

        Args:
            listed: the list, for the message.

        Raises:
            ValueError: naming the first missing file.
        """
        for folders, suffix in (
            (["JPEGImages"], ".jpg"),
            (["semseg/VOC12", "semseg/pascal-context"], ".png"),
            (["human_parts"], ".mat"),
            (["sal_distill"], ".png"),
            (["normals_distill"], ".png"),
            (["pascal-context/trainval"], ".mat"),
        ):
            there = {path.name for folder in folders for path in (self.root / folder).glob(f"*{suffix}")}
            if lost := [name for name in self.names if f"{name}{suffix}" not in there]:
                raise ValueError(
                    f"{str(listed)!r} names {len(self.names)} pictures; {len(lost)} of them have no file in "
                    f"{' or '.join(repr(str(self.root / folder)) for folder in folders)}, for example "
                    f"{lost[0]}{suffix}. Copy the data set again."
                )

    def _segmentation_file(self, name: str) -> Path:
        finer = self.root / "semseg" / "VOC12" / f"{name}.png"
        return finer if finer.is_file() else self.root / "semseg" / "pascal-context" / f"{name}.png"

    def _place(self, stored: tuple[int, int], name: str) -> tuple[int, int]:
        top, left = (self.size[0] - stored[0]) // 2, (self.size[1] - stored[1]) // 2
        if min(top, left) < 0:
            raise ValueError(
                f"picture {name!r} has {stored[0]} x {stored[1]} pixels; image_size={list(self.size)} must not be "
                "smaller, because pictures are not resized."
            )
        return top, left

    def _on_canvas(self, values: Tensor, top: int, left: int, fill: float) -> Tensor:
        canvas = values.new_full((*values.shape[:-2], *self.size), fill)
        canvas[..., top : top + values.shape[-2], left : left + values.shape[-1]] = values
        return canvas


def edges_between(classes_HW: NDArray[np.int64]) -> NDArray[np.float32]:
    """1 on lines of one pixel between regions of a map: its Laplacian is not 0 there, thinned.

    Args:
        classes_HW: numbers of classes.
    """
    padded = np.pad(classes_HW, 1, mode="reflect")
    around_HW = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return thin(around_HW != 4 * classes_HW).astype(np.float32)


def part_of(name: str) -> int:
    """The class of a part of a person by its name in the files: `lluarm` of the left, `rlleg`, `torso`, ...

    Args:
        name: in the file.

    Raises:
        ValueError: for a name that no person has.
    """
    if name in ("neck", "torso"):
        return 2
    bare = name[1:] if name[:1] in "lr" else name
    limbs: Mapping[str, int] = {"uarm": 3, "larm": 4, "hand": 4, "uleg": 5, "lleg": 6, "foot": 6}
    if bare in limbs:
        return limbs[bare]
    if name in _HEAD or bare in _HEAD:
        return 1
    raise ValueError(f"part {name!r} is no part of a person")


def _segmentation(path: Path) -> Tensor:
    stored_HW = torch.from_numpy(read_indices(path))
    labels_HW = torch.where(stored_HW == 255, IGNORE_INDEX, stored_HW)
    if int(labels_HW.max()) >= len(_CLASSES):
        raise ValueError(f"{str(path)!r} has class {int(labels_HW.max())}; classes are 0 to 20, and 255 for none.")
    return labels_HW


def _saliency(path: Path) -> Tensor:
    return torch.from_numpy(read_values(path) > 127.5).long()


def _normals(path: Path, classes_HW: NDArray[np.int64]) -> Tensor:
    values = torch.from_numpy(2 * read_values(path) / 255 - 1)
    if values.shape[:2] != classes_HW.shape:
        raise ValueError(f"{str(path)!r} is {list(values.shape[:2])}, the map of its classes {list(classes_HW.shape)}.")
    values[torch.from_numpy(~np.isin(classes_HW, _WITH_NORMALS))] = torch.nan
    return Normals.of_numbers(values)


def _parts(path: Path) -> Tensor | None:
    """Classes [H,W]; None where no part of a person is marked, so that nobody knows whether there are people."""
    parts_HW: Tensor | None = None
    for thing in _several(_matlab(path, "anno"), "objects"):
        if int(thing["class_ind"]) != _PERSON:
            continue
        for part in _several(thing, "parts"):
            mask_HW = torch.from_numpy(np.asarray(part["mask"]) > 0)
            parts_HW = torch.zeros(mask_HW.shape, dtype=torch.int64) if parts_HW is None else parts_HW
            try:
                parts_HW[mask_HW] = part_of(str(part["part_name"]))
            except (ValueError, IndexError) as error:
                raise ValueError(f"{str(path)!r}: {error}. Copy it again.") from error
    return parts_HW if parts_HW is not None and parts_HW.any() else None


def _map_of_classes(path: Path) -> NDArray[np.int64]:
    return np.asarray(_matlab(path, "LabelMap")).astype(np.int64)


def _matlab(path: Path, name: str) -> Any:
    """A variable of a file of Matlab."""
    try:
        return loadmat(path, variable_names=[name], simplify_cells=True)[name]
    except Exception as error:
        raise ValueError(f"{str(path)!r} cannot be read as Matlab's {name!r}: {error}. Copy it again.") from error


def _several(struct: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """An array of structs; scipy gives one alone as itself, and none as an empty array."""
    value = struct[name]
    return [value] if isinstance(value, Mapping) else list(value)
