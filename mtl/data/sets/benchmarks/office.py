"""`Office31` and `OfficeHome`: objects in the office in several domains; each domain is a data set, and a task.

Train them together as parts of `MixedData`, each with the task `object` renamed to its domain.
Sources: Saenko et al., "Adapting Visual Category Models to New Domains", ECCV 2010. Venkateswara et al., "Deep Hashing
Network for Unsupervised Domain Adaptation", CVPR 2017.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mtl.data.folder.splits import draw_splits
from mtl.data.image_size import checked_size
from mtl.data.images import SUFFIXES
from mtl.data.labelled_pictures import LabelledPictures
from mtl.data.module import JointDataModule
from mtl.data.sets.benchmarks.count_check import check_count
from mtl.task import Task


class _OfficeDomain(JointDataModule):
    """A folder for each class, in alphabetical order.

    Args:
        folder: folder of the domain.
        count: pictures it must hold; None does not check.
        fractions: shares of train, val and test of a random split.
        split_seed: seed of the split.
        image_size: height and width of the network's input.
        **kwargs: arguments of `JointDataModule`.
    """

    num_classes: ClassVar[int]

    def __init__(
        self,
        folder: Path,
        count: int | None,
        fractions: list[float] | None,
        split_seed: int,
        image_size: tuple[int, int],
        **kwargs: Any,
    ) -> None:
        super().__init__(self.declare_tasks(), **kwargs)
        self.folder, self.count = folder, count
        self.fractions, self.split_seed = fractions or [0.6, 0.2, 0.2], split_seed
        self.image_size = checked_size(image_size)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {"object": Task("object", "classification", num_classes=cls.num_classes)}

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        if not self.folder.is_dir():
            raise ValueError(f"there is no folder of the domain, {str(self.folder)!r}. Correct `root`.")
        classes = sorted(path for path in self.folder.iterdir() if path.is_dir())
        if len(classes) != self.num_classes:
            raise ValueError(
                f"{str(self.folder)!r} has {len(classes)} folders of classes; {type(self).__name__} has "
                f"{self.num_classes}. Copy the data set again."
            )
        label_of = {
            path.relative_to(self.folder).as_posix(): label
            for label, folder in enumerate(classes)
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES
        }
        if self.count is not None:
            check_count(f"{str(self.folder)!r} has", len(label_of), self.count)
        for split, names in draw_splits(list(label_of), self.fractions, self.split_seed).items():
            labels = np.array([label_of[name] for name in names], np.int64)
            paths = [self.folder / name for name in names]
            setattr(self, f"{split}_set", LabelledPictures(paths, {"object": labels}, self.image_size))


class Office31(_OfficeDomain):
    """31 classes in three domains: amazon 2,817, dslr 498 and webcam 795 pictures.

    Args:
        root: folder with `amazon`, `dslr` and `webcam`, each with `images/<class>/*.jpg`.
        domain: which of them.
        fractions: shares of train, val and test of a random split; 0.6, 0.2, 0.2 by default.
        split_seed: seed of the split.
        image_size: height and width of the network's input.
        check: compare the number of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    num_classes = 31
    # lines of the lists in github.com/thuml/CDAN, data/office
    counts: ClassVar[Mapping[str, int]] = {"amazon": 2817, "dslr": 498, "webcam": 795}

    def __init__(
        self,
        root: str,
        domain: Literal["amazon", "dslr", "webcam"],
        fractions: list[float] | None = None,
        split_seed: int = 0,
        image_size: tuple[int, int] = (224, 224),
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        folder, count = Path(root) / domain / "images", self.counts[domain] if check else None
        super().__init__(folder, count, fractions, split_seed, image_size, **kwargs)


class OfficeHome(_OfficeDomain):
    """65 classes in four domains: Art 2,427, Clipart 4,365, Product 4,439 and Real World 4,357 pictures.

    Args:
        root: folder with `Art`, `Clipart`, `Product` and `Real World`, each with `<class>/*.jpg`.
        domain: which of them.
        fractions: shares of train, val and test of a random split; 0.6, 0.2, 0.2 by default.
        split_seed: seed of the split.
        image_size: height and width of the network's input.
        check: compare the number of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    num_classes = 65
    # lines of the lists in github.com/thuml/CDAN, data/office-home
    counts: ClassVar[Mapping[str, int]] = {"Art": 2427, "Clipart": 4365, "Product": 4439, "Real World": 4357}

    def __init__(
        self,
        root: str,
        domain: Literal["Art", "Clipart", "Product", "Real World"],
        fractions: list[float] | None = None,
        split_seed: int = 0,
        image_size: tuple[int, int] = (224, 224),
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        folder, count = Path(root) / domain, self.counts[domain] if check else None
        super().__init__(folder, count, fractions, split_seed, image_size, **kwargs)
