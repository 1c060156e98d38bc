"""`ClassFolders`: a folder of pictures for each class, as torchvision's `ImageFolder` reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.example_pictures import HEIGHT, WIDTH, write_example_pictures
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures
from mtl.data.folder.splits import SPLITS
from mtl.errors import did_you_mean
from mtl.task import Task

SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


class ClassFolders(FolderDataModule):
    """Task `label`: the name of the folder that holds the picture, `cat/a.jpg` or `train/cat/a.jpg`.

    Args:
        root: folder of the data set. Folders `train`, `val` (or `valid`) and `test` in it define the splits, unless
            `fractions` is given or the folder `splits` exists.
        classes: class names in the order of their index; by default the names of the folders, in alphabetical order.
        images: folder of the classes or of the splits, relative to `root`.
        task: name of the task.
        **kwargs: arguments of `FolderDataModule` other than `box_classes`.
    """

    def __init__(
        self, root: str, classes: list[str] | None = None, images: str = ".", task: str = "label", **kwargs: Any
    ) -> None:
        super().__init__(root, [], **kwargs)
        found = classes or self._folder_names(self.root, images)
        self.classes, self.task = tuple(found), task
        self.tasks = self.declare_tasks(
            classes=found, task=task, image_tasks=self.image_tasks, map_tasks=self.map_tasks
        )
        self.images = self.root / images
        self._pictures: dict[str, Path] = {}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        for name, (label, *_) in write_example_pictures(folder).items():
            place = folder / "images" / name.rstrip("0123456789") / label
            place.mkdir(parents=True, exist_ok=True)
            (folder / "images" / f"{name}.png").rename(place / f"{name}.png")
        for file in (folder / "splits").iterdir():
            file.unlink()
        (folder / "splits").rmdir()
        (folder / "labels.csv").unlink()
        return {"root": str(folder), "images": "images", "image_size": (HEIGHT, WIDTH)}

    @classmethod
    def read_class_names(cls, root: Path, **_: Any) -> list[str]:
        return []

    @classmethod
    def read_arguments(
        cls, *, root: str = "", classes: list[str] | None = None, images: str = ".", **init_args: Any
    ) -> dict[str, Any]:
        found = super().read_arguments(root=root, **{**init_args, "box_classes": []})
        folder = cls.place(root)
        return found if classes or not folder.is_dir() else {**found, "classes": cls._folder_names(folder, images)}

    @classmethod
    def declare_tasks(
        cls,
        *,
        classes: list[str] | None = None,
        task: str = "label",
        image_tasks: Mapping[str, Any] | None = None,
        map_tasks: Mapping[str, Any] | None = None,
        root: str = "",
        images: str = ".",
        **_: Any,
    ) -> dict[str, Task]:
        # the parent's constructor knows neither
        names = classes or (cls._folder_names(cls.place(root), images) if root else [])
        own = {task: Task(task, "classification", class_names=tuple(names))} if names else {}
        return own | super().declare_tasks(box_classes=[], image_tasks=image_tasks, map_tasks=map_tasks)

    @staticmethod
    def _folder_names(root: Path, images: str) -> list[str]:
        names = {path.parent.name for path in find_pictures(root / images).values()}
        if len(names) < 2:
            raise ValueError(
                f"all pictures below {str(root / images)!r} are in one folder, so there is nothing to tell apart. "
                "Expected a folder for each class: cat/a.jpg, dog/b.jpg, or train/cat/a.jpg."
            )
        return sorted(names)

    def names(self) -> list[str]:
        self._pictures = find_pictures(self.images)
        for path in self._pictures.values():
            if (folder := path.parent.name) not in self.classes:
                raise ValueError(
                    f"picture {str(path)!r} is in a folder that is no class.{did_you_mean(folder, self.classes)} "
                    f"Classes are {', '.join(self.classes)}: add it to `classes`, or move the picture."
                )
        return list(self._pictures)

    def record(self, name: str) -> AnnotatedImage:
        path = self._pictures.get(name, self.images / name)
        labels = {self.task: self.classes.index(path.parent.name)} if name in self._pictures else {}
        return AnnotatedImage(name, path, annotated=False, labels=labels)

    def label_specs(self) -> dict[str, ImageLabels]:
        return {self.task: ImageLabels("classification", classes=list(self.classes)), **self.image_tasks}

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        if self.fractions is None and not (self.root / self.splits).is_dir():
            found = {
                split: [name for name in names if "/" in name and name.split("/")[0].lower() in SPLIT_FOLDERS[split]]
                for split in SPLITS
            }
            if found["train"]:
                return {split: wanted for split, wanted in found.items() if wanted}
        return super().read_splits(names)
