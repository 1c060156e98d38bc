"""`FolderDataModule`: what every data set of picture files shares: splits, checks, labels from a CSV, cache.

A subclass says where its pictures are and what their annotations are (`names`, `record`); everything is checked once
in `setup`, so nothing is left to fail in the middle of training.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.folder_set import FolderSet
from mtl.data.image_labels import ImageLabels, Row, read_rows
from mtl.data.images import SUFFIXES
from mtl.data.joint import JointDataModule
from mtl.data.records import Annotations, Checks, OnBadBox, OnUnknownClass, Record, pack, report_duplicates
from mtl.data.report import DataReport
from mtl.data.resize import FitMode
from mtl.data.splits import draw_splits, read_splits
from mtl.errors import did_you_mean
from mtl.task import Task

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class FolderDataModule(JointDataModule):
    """Pictures in files with boxes, and image-level labels from an optional CSV.

    Args:
        root: folder of the data set; relative paths are relative to the working directory.
        box_classes: class names of the boxes, in the order of their index.
        image_tasks: image-level tasks by name; each says what its column of `labels_csv` means.
        labels_csv: CSV of image-level labels, relative to `root`.
        labels_key: its column that names the pictures.
        annotated_column: its column of 0 and 1 that says whose boxes are annotated; without it everybody's are who
            has an annotation. "Not annotated" teaches nothing, "annotated without a box" teaches that nothing is there.
        splits: folder with `train.txt`, `val.txt` and `test.txt`, relative to `root`.
        fractions: shares of train, val and test for a split drawn at random, instead of `splits`.
        split_seed: seed of that draw; apart from `seed`, so that runs with other seeds share the test pictures.
        image_size: height and width of the network's input in pixels.
        fit: `letterbox` keeps proportions, `stretch` fills the input.
        on_bad_box: a box more than 1 px outside its picture is an `error`, or `clip` it, or `skip` it. Boxes without
            area are always skipped, and everything skipped or clipped is reported.
        on_unknown_class: a box of a class that is not listed is an `error`, or `skip` it.
        verify_images: decode every picture at the start; otherwise only headers are read.
        cache: keep all resized pictures in memory (3 x height x width bytes each); they are decoded at the start.
        report_csv: also write the findings of the checks to this file.
        **kwargs: arguments of `JointDataModule`.
    """

    own_splits: ClassVar[bool] = False  # whether the data set comes with its splits, so that `splits` means nothing

    def __init__(
        self,
        root: str,
        box_classes: list[str],
        image_tasks: dict[str, ImageLabels] | None = None,
        labels_csv: str | None = None,
        labels_key: str = "image",
        annotated_column: str | None = None,
        splits: str = "splits",
        fractions: list[float] | None = None,
        split_seed: int = 0,
        image_size: tuple[int, int] = (320, 320),
        fit: FitMode = "letterbox",
        on_bad_box: OnBadBox = "error",
        on_unknown_class: OnUnknownClass = "error",
        verify_images: bool = False,
        cache: bool = False,
        report_csv: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self.declare_tasks(box_classes=box_classes, image_tasks=image_tasks), **kwargs)
        if (image_tasks or annotated_column) and not labels_csv:
            raise ValueError("image_tasks and annotated_column read `labels_csv`; give its path relative to `root`.")
        if self.own_splits and splits != "splits":
            raise ValueError(f"{type(self).__name__} has splits of its own; leave `splits` out, or give `fractions`.")
        self.root = Path(root)
        self.box_classes = tuple(box_classes)
        self.image_tasks = {name: ImageLabels.of(spec) for name, spec in (image_tasks or {}).items()}
        self.labels_csv = labels_csv
        self.labels_key = labels_key
        self.annotated_column = annotated_column
        self.splits = splits
        self.fractions = fractions
        self.split_seed = split_seed
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.fit_mode = fit
        self.checks = Checks(self.box_classes, on_bad_box, on_unknown_class, verify_images)
        self.cache = cache
        self.report_csv = report_csv
        self.data_report = DataReport(f"{type(self).__name__} {root}")
        self._annotations: dict[str, Annotations] = {}
        self._targets: dict[str, dict[str, NDArray[Any]]] = {}

    @classmethod
    def declare_tasks(
        cls, *, box_classes: Sequence[str] = (), image_tasks: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Task]:
        tasks = {"boxes": Task("boxes", "detection", class_names=tuple(box_classes))}
        return tasks | {name: ImageLabels.of(spec).task(name) for name, spec in (image_tasks or {}).items()}

    @abstractmethod
    def names(self) -> list[str]:
        """Names of every picture of the data set, without extension; reads what `record` needs."""

    @abstractmethod
    def record(self, name: str) -> Record:
        """What the annotations say about one picture.

        Args:
            name: a name of a split; it may be one that `names` does not have.
        """

    def release(self) -> None:
        """Forget what `names` read: the arrays are what stays."""

    def read_splits(self, names: list[str]) -> dict[str, list[str]]:
        """Names of the pictures by split.

        Args:
            names: what `names` returned.
        """
        if self.fractions is not None:
            return draw_splits(names, self.fractions, self.split_seed)
        return read_splits(self.root / self.splits)

    def make_set(self, split: str) -> Dataset[Sample]:
        """The samples of one split.

        Args:
            split: `train`, `val` or `test`.
        """
        return FolderSet(self._annotations[split], self._targets[split], self.image_size, self.fit_mode, self.cache)

    def setup(self, stage: str) -> None:
        # once: `fit` followed by `test` sets up twice, and findings are told once
        if not self._annotations:
            self._check_everything()
        for split in _STAGES[stage]:
            if split not in self._annotations:
                raise ValueError(
                    f"{self.data_report.name} has no split {split!r}, which {stage!r} needs; it has "
                    f"{', '.join(self._annotations)}. Add {split}.txt to the splits folder, or a share to `fractions`."
                )
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self.make_set(split))

    def _check_everything(self) -> None:
        if not self.root.is_dir():
            raise ValueError(
                f"data folder {str(self.root)!r} does not exist (working directory {str(Path.cwd())!r}). "
                "Set data.init_args.root to the folder of the data set, or put the data there."
            )
        names = self.names()
        splits = self.read_splits(names)
        rows = read_rows(self.root / self.labels_csv, self.labels_key) if self.labels_csv else {}
        annotations: dict[str, Annotations] = {}
        targets: dict[str, dict[str, NDArray[Any]]] = {}
        twins: dict[str, str] = {}
        for split, wanted in splits.items():
            twin = next((other for other in annotations if splits[other] == wanted), None)
            if twin:
                self.data_report.add("same_pictures", split, "", f"as {twin}", "kept")
                twins[split] = twin
                continue
            records = [self._labelled(self.record(name), split, rows) for name in self._once(wanted, split)]
            records, annotations[split] = pack(records, split, self.checks, self.data_report)
            targets[split] = self._image_targets(records)
            if not records:
                raise ValueError(
                    f"{self.data_report.name}: none of the {len(wanted)} pictures of split {split!r} was found, for "
                    f"example {wanted[0] if wanted else None!r}.{did_you_mean(wanted[0], names) if wanted else ''} "
                    "Names stand without extension and relative to the folder of pictures; correct them or the folder."
                )
        used = {name for wanted in splits.values() for name in wanted}
        for name in sorted(set(names) - used):
            self.data_report.add("in_no_split", "", name, "", "skipped")
        report_duplicates(annotations, self.data_report)
        self._annotations = {split: annotations[twins.get(split, split)] for split in splits}
        self._targets = {split: targets[twins.get(split, split)] for split in splits}
        self.release()
        self.data_report.log_summary()
        if self.report_csv:
            self.data_report.write_csv(Path(self.report_csv))

    def _once(self, names: list[str], split: str) -> list[str]:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                self.data_report.add("named_twice", split, name, "", "skipped")
            seen.add(name)
        return list(dict.fromkeys(names))

    def _labelled(self, record: Record, split: str, rows: Mapping[str, Row]) -> Record:
        """Add the image-level labels of the CSV to a record."""
        if not self.labels_csv:
            return record
        row = rows.get(record.name) or next((rows[key] for key in _file_names(record) if key in rows), None)
        if row is None:
            self.data_report.add("no_row", split, record.name, f"in {self.labels_csv}", "not labelled")
            return record
        for task, spec in self.image_tasks.items():
            try:
                value = spec.value(task, row)
            except ValueError as error:
                raise ValueError(f"{self.labels_csv}, picture {record.name!r}: {error}") from error
            if value is None:
                self.data_report.add(f"no_{task}", split, record.name, "", "not labelled")
            else:
                record.labels[task] = value
        if self.annotated_column:
            record.annotated &= ImageLabels("regression", column=self.annotated_column).value("boxes", row) == 1
        return record

    def _image_targets(self, records: list[Record]) -> dict[str, NDArray[Any]]:
        targets = {}
        for name, spec in self.label_specs().items():
            targets[name] = spec.empty(name, len(records))
            for i, record in enumerate(records):
                if name in record.labels:
                    targets[name][i] = record.labels[name]
        return targets

    def label_specs(self) -> dict[str, ImageLabels]:
        """Form of every image-level task that records carry."""
        return self.image_tasks


def find_pictures(folder: Path) -> dict[str, Path]:
    """Every picture below a folder, by its path relative to the folder without extension.

    Args:
        folder: the folder.

    Raises:
        ValueError: if the folder is missing, empty, or has two pictures of one name.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder of pictures {str(folder)!r}. Correct `root`, or name the folder in `images`.")
    pictures: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in pictures:
                raise ValueError(f"two pictures are called {name!r}: {pictures[name].name} and {path.name}; keep one.")
            pictures[name] = path
    if not pictures:
        raise ValueError(f"no picture ({', '.join(SUFFIXES)}) below {str(folder)!r}. Correct `root` or `images`.")
    return pictures


def _file_names(record: Record) -> tuple[str, str]:
    # tables name pictures with their extension, too
    return record.name + record.path.suffix, record.path.name
