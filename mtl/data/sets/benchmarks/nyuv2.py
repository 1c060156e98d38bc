"""`NYUv2`: indoor scenes with 13 classes, depth and surface normals, in the files of the MTAN release.

Sources: pictures: Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. Files:
Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, https://github.com/lorenmt/mtan.
"""

from typing import Any

from mtl.data.arrays.array_files import ArrayField, read_classes, read_positive, read_vectors
from mtl.data.arrays.module import ArrayData
from mtl.task import Task

_FIELDS = {
    "segmentation": ArrayField("label", read_classes),
    "depth": ArrayField("depth", read_positive),
    "normals": ArrayField("normal", read_vectors),
}


class NYUv2(ArrayData):
    """795 training and 654 test pictures of 288 x 384 pixels; depth in metres.

    Args:
        root: folder with `train` and `val`, each with `image`, `label`, `depth` and `normal`.
        num_val: training samples that are held out for validation; 0 in published protocols.
        split_seed: seed of that draw.
        check: compare the number and size of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    counts = {"train": 795, "val": 654}  # noqa: RUF012, a class variable of the base
    sizes = ((288, 384),)

    def __init__(self, root: str, num_val: int = 0, split_seed: int = 0, check: bool = True, **kwargs: Any) -> None:
        super().__init__(root, self.declare_tasks(), _FIELDS, num_val, split_seed, check, **kwargs)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "segmentation": Task("segmentation", "segmentation", num_classes=13),
            "depth": Task("depth", "depth"),
            "normals": Task("normals", "normals"),
        }
