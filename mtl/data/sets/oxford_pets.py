"""`OxfordPets`: breed, head box and trimap of cats and dogs, in torchvision's folder layout.

Source: Parkhi, Vedaldi, Zisserman, Jawahar, "Cats and Dogs", CVPR 2012. Only most pictures of `trainval` have a head
box; the others are not annotated for boxes, which does not mean that they have no head.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torchvision import tv_tensors
from torchvision.datasets import OxfordIIITPet

from mtl.batch import IGNORE_INDEX, Sample
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.folder_set import FolderSet
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.splits import draw_splits
from mtl.data.folder.text_files import read_text
from mtl.data.folder.voc_xml import read_voc
from mtl.data.images import read_indices
from mtl.data.resize import fit_mask
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
        super().__init__(root, ["head"], **kwargs)
        self.tasks = self.declare_tasks(image_tasks=self.image_tasks, trimap=trimap)
        self.trimap = trimap
        self.set_class = _PetsWithTrimap if trimap else FolderSet
        self.val_share = val_share
        self.download = download
        self._folder = self.root / "oxford-iiit-pet"
        self._listed: dict[str, dict[str, int]] = {}
        self._species: dict[str, int] = {}

    @classmethod
    def declare_tasks(
        cls,
        *,
        box_classes: Sequence[str] = ("head",),
        image_tasks: Mapping[str, Any] | None = None,
        trimap: bool = False,
        **_: Any,
    ) -> dict[str, Task]:
        tasks = super().declare_tasks(box_classes=("head",), image_tasks=image_tasks) | {
            "breed": Task("breed", "classification", class_names=tuple(BREEDS)),
            "species": Task("species", "classification", class_names=("cat", "dog")),
        }
        return tasks | ({"trimap": Task("trimap", "segmentation", class_names=TRIMAP)} if trimap else {})

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
        record.mask = annotations / "trimaps" / f"{name}.png" if self.trimap else None
        return record

    def label_specs(self) -> dict[str, ImageLabels]:
        return self.image_tasks | {
            "breed": ImageLabels("classification", classes=BREEDS),
            "species": ImageLabels("classification", classes=["cat", "dog"]),
        }


class _PetsWithTrimap(FolderSet):
    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        mask = self.annotations.masks[index].decode()
        if not mask:
            return sample
        # 1 is animal, 2 background, 3 border
        trimap = read_indices(mask, self.max_pixels).long() - 1
        sample["trimap"] = tv_tensors.Mask(fit_mask(trimap, self.image_size, self.fit, IGNORE_INDEX))
        return sample
