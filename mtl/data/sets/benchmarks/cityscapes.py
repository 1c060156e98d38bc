"""`Cityscapes`: street scenes with classes and disparity, in the files of the MTAN release.

Sources: pictures: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016. Files:
Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, https://github.com/lorenmt/mtan; its
`depth` is a disparity, large where things are near.
"""

from typing import Any, Literal

from mtl.data.arrays.array_files import ArrayField, read_classes, read_positive
from mtl.data.arrays.module import ArrayData
from mtl.task import Task


class Cityscapes(ArrayData):
    """2,975 training and 500 test pictures of 128 x 256 pixels, or twice that.

    Args:
        root: folder with `train` and `val`, each with `image`, `depth` and `label_7` (or `label_2`, `label_19`).
        num_classes: 7 in the tables of two tasks.
        num_val: training samples that are held out for validation; 0 in published protocols.
        split_seed: seed of that draw.
        check: compare the number and size of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    counts = {"train": 2975, "val": 500}  # noqa: RUF012, a class variable of the base
    sizes = ((128, 256), (256, 512))

    def __init__(
        self,
        root: str,
        num_classes: Literal[2, 7, 19] = 7,
        num_val: int = 0,
        split_seed: int = 0,
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        fields = {
            "segmentation": ArrayField(f"label_{num_classes}", read_classes),
            "depth": ArrayField("depth", read_positive),
        }
        tasks = self.declare_tasks(num_classes=num_classes)
        super().__init__(root, tasks, fields, num_val, split_seed, check, **kwargs)

    @classmethod
    def declare_tasks(cls, *, num_classes: int = 7, **_: Any) -> dict[str, Task]:
        return {
            "segmentation": Task("segmentation", "segmentation", num_classes=num_classes),
            "depth": Task("depth", "inverse_depth"),
        }
