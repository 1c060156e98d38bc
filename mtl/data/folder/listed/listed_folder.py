"""`ListedFolder`: base class of data sets whose files list many pictures with their boxes."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.files.shares import in_pixels
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import Match, find_pictures, match_names, plain_name
from mtl.data.folder.splits import SPLITS

NotListed = Literal["not_annotated", "no_objects"]


class ListedFolder(FolderDataModule):
    """Pictures, and files that list them with their boxes: one for all pictures, or one per split.

    A listed picture without boxes has no objects.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all names in the files.
        images: folder that holds all pictures, relative to `root`. A name in a file may be relative to it, to `root` or
            to the file's own folder, or only end like the picture's path.
        annotations: the file, relative to `root`, or a mapping of split to file. With a mapping, the files define the
            splits, unless `fractions` is given or the folder `splits` exists.
        not_listed: a picture that no file lists was not annotated (`not_annotated`), or has no objects (`no_objects`).
        **kwargs: arguments of `FolderDataModule`.
    """

    default_annotations: ClassVar[str] = "annotations.json"

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        images: str = "images",
        annotations: str | dict[str, str] | None = None,
        not_listed: NotListed = "not_annotated",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, box_classes, **kwargs)
        annotations = annotations or self.default_annotations
        self.annotations: dict[str, str] = {"": annotations} if isinstance(annotations, str) else dict(annotations)
        for split in self.annotations:
            if split not in ("", *SPLITS):
                raise ValueError(f"annotations has an unknown split {split!r}; splits are {', '.join(SPLITS)}.")
        self.folder = self.root / images
        self.not_listed = not_listed
        self._pictures: dict[str, Path] = {}
        self._records: dict[str, AnnotatedImage] = {}
        self._in_shares: set[str] = set()
        self._listed: dict[str, list[str]] = {}  # names by split
        self._strays: list[str] = []  # listed, and no picture

    @classmethod
    def files_of(cls, root: Path, annotations: str | dict[str, str] | None) -> list[Path]:
        """The files that list pictures.

        Args:
            root: folder of the data set.
            annotations: as in the constructor.
        """
        files = annotations or cls.default_annotations
        return [root / file for file in ([files] if isinstance(files, str) else files.values())]

    @abstractmethod
    def read_list(self, file: Path) -> list[ListedPicture]:
        """The pictures that a file lists; what is wrong goes to `data_report`, or is an error, as `checks` says.

        Args:
            file: the file.
        """

    def names(self) -> list[str]:
        self._pictures = find_pictures(self.folder)
        for split, file in self.annotations.items():
            listed = self.read_list(self.root / file)
            places = _Places(self._pictures, [(self.root / file).parent, self.folder, self.root])
            matches = places.find([one.file_name for one in listed])
            for one in listed:
                match = matches.get(one.file_name)
                if match is None:
                    self._strays.append(one.file_name)
                    self.data_report.add("annotation_without_image", "", one.file_name, f"in {file}", "skipped")
                    continue
                if not match.sure:
                    self.data_report.add("name_differs", "", match.name, f"{one.file_name!r} in {file}", "matched")
                self.keep(match.name, self._pictures[match.name], one, split)
        return list(self._pictures)

    def keep(self, name: str, path: Path, listed: ListedPicture, split: str) -> None:
        """Keep what a file says of one picture; of two entries, the first one with boxes.

        Args:
            name: name of the picture.
            path: its file.
            listed: what the file says.
            split: split of the file, empty without one.

        Raises:
            ValueError: if the picture was listed before, with other boxes.
        """
        file, earlier = self.annotations[split], self._records.get(name)
        record = AnnotatedImage(
            name,
            path,
            np.array(listed.boxes).reshape(-1, 4),
            listed.classes,
            ignored=frozenset(listed.ignored),
            declared=listed.declared,
            source=str(self.root / file),
        )
        if earlier is not None:
            # the files of two splits may list the same picture
            self.data_report.add("listed_twice", "", name, file, "kept the first")
            if len(record.boxes) and len(earlier.boxes) and _box_list(record) != _box_list(earlier):
                raise ValueError(
                    f"picture {name!r} is listed twice with different boxes, so the right boxes are unknown; the "
                    f"second entry is {listed.id!r} in {str(self.root / file)!r}, the first one in "
                    f"{earlier.source!r}. Keep one entry, with the boxes that are right."
                )
        if earlier is None or not len(earlier.boxes):
            self._records[name] = record
            (self._in_shares.add if listed.in_shares else self._in_shares.discard)(name)
        self._listed.setdefault(split, []).append(name)

    def record(self, name: str) -> AnnotatedImage:
        if name not in self._records:
            found = name in self._pictures
            path = self._pictures.get(name, self.folder / name)
            return AnnotatedImage(name, path, annotated=found and self.not_listed == "no_objects")
        record = self._records[name]
        return in_pixels(record, self.checks) if name in self._in_shares else record

    def explain_source(self, name: str) -> str:
        files = ", ".join(repr(str(self.root / file)) for file in self.annotations.values())
        first = f"; the first of {len(self._strays)} without a picture is {self._strays[0]!r}" if self._strays else ""
        return f"{files} lists none of its pictures, for example {name!r}{first}."

    def release(self) -> None:
        self._records.clear()
        self._in_shares.clear()
        self._strays.clear()

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        if "" not in self.annotations and self.fractions is None and not (self.root / self.splits).is_dir():
            return {split: self._listed.get(split, []) for split in SPLITS if split in self.annotations}
        return super().read_splits(names)


class _Places:
    """Pictures by the folders that a written name may be relative to."""

    def __init__(self, pictures: dict[str, Path], folders: Sequence[Path]) -> None:
        self.pictures = pictures
        self.forms: list[dict[str, str]] = []
        for folder in dict.fromkeys(folders):
            below = {name: path for name, path in pictures.items() if path.is_relative_to(folder)}
            inside = {path.relative_to(folder): name for name, path in below.items()}
            whole = {path.as_posix(): name for path, name in inside.items()}
            self.forms.append({path.with_suffix("").as_posix(): name for path, name in inside.items()} | whole)
        alone: defaultdict[str, set[str]] = defaultdict(set)
        for name, path in pictures.items():
            alone[path.name].add(name)
            alone[path.stem].add(name)
        self.forms.append({text: next(iter(names)) for text, names in alone.items() if len(names) == 1})

    def find(self, written: Sequence[str]) -> dict[str, Match]:
        """The picture of each written name, as `match_names`."""
        found: dict[str, Match] = {}
        for text in written:
            plain = plain_name(text)
            if (name := next((form[plain] for form in self.forms if plain in form), None)) is not None:
                found[text] = Match(name, True)
        taken = {match.name for match in found.values()}
        free = [name for name in self.pictures if name not in taken]
        return found | match_names([text for text in written if text not in found], free)


def _box_list(record: AnnotatedImage) -> list[tuple[str, ...]]:
    return sorted((name, *box) for name, box in zip(record.classes, record.boxes.tolist(), strict=True))
