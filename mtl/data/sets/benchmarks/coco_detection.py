"""`COCODetectionData`: COCO 2014 or 2017, in the usual folder layout for torchvision's `CocoDetection`.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchvision.models.detection import FCOS_ResNet50_FPN_Weights

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.image_labels import ImageLabels
from mtl.task import Task

# torchvision's list has gaps for category ids that COCO does not use
CLASSES = [
    name for name in FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"] if name not in ("__background__", "N/A")
]


class COCODetectionData(COCOFolder):
    """Tasks: `boxes` (80 classes) and `present_classes` (multilabel: the classes in the picture).

    torchvision does not download COCO. Unpack its archives so that `root` has `train2017/`, `val2017/` and
    `annotations/instances_train2017.json`, `annotations/instances_val2017.json`. The labels of COCO's test set are not
    public, so `test` uses the validation pictures.

    Args:
        root: folder of the unpacked archives.
        year: `2017` or `2014`.
        **kwargs: arguments of `FolderDataModule` other than `box_classes`.
    """

    def __init__(self, root: str, year: str = "2017", **kwargs: Any) -> None:
        parts = {"train": f"train{year}", "val": f"val{year}"}
        super().__init__(
            root,
            CLASSES,
            images=parts,
            annotations={split: f"annotations/instances_{part}.json" for split, part in parts.items()},
            **kwargs,
        )

    @classmethod
    def example_args(cls, folder: Path) -> None:
        return None  # COCO's own layout, which the tests of this class write

    @classmethod
    def declare_tasks(
        cls, *, box_classes: Sequence[str] | None = CLASSES, image_tasks: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Task]:
        tasks = super().declare_tasks(box_classes=CLASSES, image_tasks=image_tasks)
        return tasks | {"present_classes": Task("present_classes", "multilabel", class_names=tuple(CLASSES))}

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        splits = super().read_splits(names)
        return {"test": splits["val"]} | splits

    def record(self, name: str) -> AnnotatedImage:
        record = super().record(name)
        if record.annotated:
            record.labels["present_classes"] = record.present(CLASSES)
        return record

    def label_specs(self) -> dict[str, ImageLabels]:
        return self.image_tasks | {"present_classes": ImageLabels("multilabel", classes=CLASSES)}
