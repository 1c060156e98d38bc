"""`OxfordPets`: breed, head box and trimap of cats and dogs, in torchvision's folder layout.

Source: Parkhi, Vedaldi, Zisserman, Jawahar, "Cats and Dogs", CVPR 2012. Only most pictures of `trainval` have a head
box; the others are not annotated for boxes, which does not mean that they have no head.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torchvision.datasets import OxfordIIITPet

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.files.voc_xml import read_voc
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.folder.map_files import MapFiles
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.splits import draw_splits
from mtl.task import Task

# in the order of the data set's class numbers, 1 to 37, and of torchvision's, 0 to 36
# fmt: off
BREEDS = [
    "Abyssinian", "American Bulldog", "American Pit Bull Terrier", "Basset Hound", "Beagle", "Bengal", "Birman",
    "Bombay", "Boxer", "British Shorthair", "Chihuahua", "Egyptian Mau", "English Cocker Spaniel", "English Setter",
    "German Shorthaired", "Great Pyrenees", "Havanese", "Japanese Chin", "Keeshond", "Leonberger", "Maine Coon",
    "Miniature Pinscher", "Newfoundland", "Persian", "Pomeranian", "Pug", "Ragdoll", "Russian Blue", "Saint Bernard",
    "Samoyed", "Scottish Terrier", "Shiba Inu", "Siamese", "Sphynx", "Staffordshire Bull Terrier", "Wheaten Terrier",
    "Yorkshire Terrier",
]
# fmt: on
TRIMAP = ("animal", "background", "border")


class OxfordPets(FolderDataModule):
    """Tasks: `boxes` (one class, the head), `breed` (37 classes), `species` (cat, dog) and, optionally, `trimap`.

    Args:
        root: parent folder of `oxford-iiit-pet`.
        trimap: add the task `trimap` of kind `segmentation` (animal, background, border): class indices [H,W], -100
            outside the picture.
        val_share: share of `trainval` used for validation; `test` is the data set's test set, without boxes.
        download: let torchvision download missing files.
        **kwargs: arguments of `FolderDataModule` other than `box_classes` and `splits`.
    """

    own_splits = True

    def __init__(
        self, root: str, trimap: bool = False, val_share: float = 0.2, download: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(root, ["head"], map_tasks=self._maps(trimap), **kwargs)
        self.tasks = self.declare_tasks(image_tasks=self.image_tasks, trimap=trimap)
        self.val_share = val_share
        self.download = download
        self._folder = self.root / "oxford-iiit-pet"
        self._listed: dict[str, dict[str, int]] = {}
        self._species: dict[str, int] = {}

    @classmethod
    def declare_tasks(
        cls,
        *,
        box_classes: Sequence[str] | None = ("head",),
        image_tasks: Mapping[str, Any] | None = None,
        trimap: bool = False,
        **_: Any,
    ) -> dict[str, Task]:
        maps = cls._maps(trimap)
        return super().declare_tasks(box_classes=("head",), image_tasks=image_tasks, map_tasks=maps) | {
            "breed": Task("breed", "classification", class_names=tuple(BREEDS)),
            "species": Task("species", "classification", class_names=("cat", "dog")),
        }

    @staticmethod
    def _maps(trimap: bool) -> dict[str, MapFiles]:
        # 1 is the animal, 2 the background, 3 the border between them
        folder = "oxford-iiit-pet/annotations/trimaps"
        return {"trimap": MapFiles(folder, list(TRIMAP), first=1)} if trimap else {}

    def prepare_data(self) -> None:
        if self.download:
            OxfordIIITPet(str(self.root), download=True)

    def names(self) -> list[str]:
        for part in ("trainval", "test"):
            file = self._folder / "annotations" / f"{part}.txt"
            if not file.is_file() or not (self._folder / "images").is_dir():
                raise ValueError(
                    f"the Oxford-IIIT pets are not in {str(self.root)!r} (no {file.name} or no pictures). "
                    "Set `root` to the parent folder of oxford-iiit-pet, or `download: true`."
                )
            lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
            self._listed[part] = {name: int(breed) - 1 for name, breed, *_ in lines}
            self._species |= {name: int(kind) - 1 for name, _, kind, *_ in lines}
        return [name for part in self._listed.values() for name in part]

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        shares = [1 - self.val_share, self.val_share]
        return draw_splits(list(self._listed["trainval"]), shares, self.split_seed) | {
            "test": list(self._listed["test"])
        }

    def record(self, name: str) -> AnnotatedImage:
        annotations = self._folder / "annotations"
        picture = self._folder / "images" / f"{name}.jpg"
        xml = annotations / "xmls" / f"{name}.xml"
        record = read_voc(name, picture, xml, True, "keep", self.checks, self.data_report)
        # the files label the box cat or dog, but it is the head
        record.classes = ["head"] * len(record.classes)
        breed = next(part[name] for part in self._listed.values() if name in part)
        record.labels |= {"breed": breed, "species": self._species[name]}
        return record

    def label_specs(self) -> dict[str, ImageLabels]:
        return self.image_tasks | {
            "breed": ImageLabels("classification", classes=BREEDS),
            "species": ImageLabels("classification", classes=["cat", "dog"]),
        }
