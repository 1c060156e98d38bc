"""`PictureFolder`: pictures with labels from a CSV or with maps, without boxes."""

from pathlib import Path
from typing import Any

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.example_pictures import write_example_pictures
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import find_pictures


class PictureFolder(FolderDataModule):
    """Pictures without boxes; what they show is in the columns of `labels_csv`, or in a map for each (`map_tasks`).

    Args:
        root: folder of the data set.
        images: folder of the pictures, relative to `root`; maps below it are no pictures.
        **kwargs: arguments of `FolderDataModule` other than `box_classes`.
    """

    def __init__(self, root: str, images: str = "images", **kwargs: Any) -> None:
        super().__init__(root, [], **kwargs)
        self.images = self.root / images
        self._pictures: dict[str, Path] = {}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        write_example_pictures(folder)
        return {name: value for name, value in cls.arguments_of_example(folder).items() if name != "box_classes"}

    @classmethod
    def read_class_names(cls, root: Path, **_: Any) -> list[str]:
        return []

    @classmethod
    def read_arguments(cls, **init_args: Any) -> dict[str, Any]:
        return super().read_arguments(**{**init_args, "box_classes": []})

    def names(self) -> list[str]:
        found = find_pictures(self.images)
        maps = {files.file(self.root, name) for files in self.map_tasks.values() for name in found}
        self._pictures = {name: path for name, path in found.items() if path not in maps}
        return list(self._pictures)

    def record(self, name: str) -> AnnotatedImage:
        return AnnotatedImage(name, self._pictures.get(name, self.images / name), annotated=False)
