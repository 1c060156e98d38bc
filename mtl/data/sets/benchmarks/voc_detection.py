"""`VOCDetectionData`: boxes and present classes of Pascal VOC 2007-2012, in torchvision's folder layout.

Source: Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torchvision.datasets import VOCDetection

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.files.voc_xml import Difficult, read_voc
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.folder.module import FolderDataModule
from mtl.task import Task

# fmt: off
CLASSES = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]
# fmt: on

ImageSet = Literal["train", "val", "trainval", "test"]


class VOCDetectionData(FolderDataModule):
    """Tasks: `boxes` (20 classes) and `present_classes` (multilabel: the classes in the picture).

    Args:
        root: parent folder of `VOCdevkit`.
        year: `2007` to `2012`.
        train_split: VOC's image set for training.
        val_split: VOC's image set for validation.
        test_split: VOC's image set for testing. Test labels are public for 2007 only, so the default is `val`; test
            metrics then equal the validation metrics by which checkpoints are selected.
        download: let torchvision download missing files.
        difficult: boxes marked difficult are objects (`keep`), or not trained on and ignored by the metric, as in VOC's
            evaluation (`skip`).
        **kwargs: arguments of `FolderDataModule` other than `box_classes` and `splits`.
    """

    own_splits = True

    def __init__(
        self,
        root: str,
        year: str = "2012",
        train_split: ImageSet = "train",
        val_split: ImageSet = "val",
        test_split: ImageSet = "val",
        download: bool = False,
        difficult: Difficult = "skip",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, CLASSES, **kwargs)
        if year != "2007" and "test" in (train_split, val_split, test_split):
            raise ValueError(f"VOC {year} has no public labels of its test set; use val, or year 2007.")
        self.year = year
        self.image_sets: dict[str, ImageSet] = {"train": train_split, "val": val_split, "test": test_split}
        self.download = download
        self.difficult: Difficult = difficult
        self._files: dict[str, tuple[Path, Path]] = {}
        self._listed: dict[str, list[str]] = {}

    @classmethod
    def declare_tasks(
        cls, *, box_classes: Sequence[str] | None = CLASSES, image_tasks: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Task]:
        tasks = super().declare_tasks(box_classes=CLASSES, image_tasks=image_tasks)
        return tasks | {"present_classes": Task("present_classes", "multilabel", class_names=tuple(CLASSES))}

    def prepare_data(self) -> None:
        for image_set in dict.fromkeys(self.image_sets.values()) if self.download else ():
            try:
                self._torchvision(image_set)
            except ValueError:
                # only on failure: with download=True, torchvision unpacks existing archives again
                self._torchvision(image_set, download=True)

    def names(self) -> list[str]:
        for split, image_set in self.image_sets.items():
            dataset = self._torchvision(image_set)
            stems = [Path(path).stem for path in dataset.images]
            self._listed[split] = stems
            paths = zip(map(Path, dataset.images), map(Path, dataset.annotations), strict=True)
            self._files |= dict(zip(stems, paths, strict=True))
        return list(self._files)

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        return self._listed if self.fractions is None else super().read_splits(names)

    def record(self, name: str) -> AnnotatedImage:
        picture, annotation = self._files[name]
        record = read_voc(name, picture, annotation, True, self.difficult, self.checks, self.data_report)
        if record.annotated:
            record.labels["present_classes"] = record.present(CLASSES)
        return record

    def label_specs(self) -> dict[str, ImageLabels]:
        return self.image_tasks | {"present_classes": ImageLabels("multilabel", classes=CLASSES)}

    def _torchvision(self, image_set: ImageSet, download: bool = False) -> VOCDetection:
        try:
            return VOCDetection(str(self.root), year=self.year, image_set=image_set, download=download)
        except (RuntimeError, FileNotFoundError) as error:
            raise ValueError(
                f"VOC {self.year} {image_set!r} is not in {str(self.root)!r} ({error}). "
                "Set `root` to the parent folder of VOCdevkit, or `download: true`."
            ) from error
