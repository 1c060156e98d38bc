"""`FolderDataModule`: base class of data sets of picture files: splits, checks, labels from a CSV, cache.

A subclass lists its pictures and reads their annotations (`names`, `record`). `setup` checks everything once, so faults
in the data do not stop a run in the middle of training.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Dataset

from mtl.batch import IGNORE_INDEX, Sample
from mtl.config.paths import expanded
from mtl.data.deep_pixels import PixelRange
from mtl.data.folder.annotations import AnnotatedImage, BoxesOn, Checks, OnBadBox, OnBadImage, OnUnknownClass
from mtl.data.folder.class_names import with_classes
from mtl.data.folder.example_pictures import CLASSES, HEIGHT, WIDTH
from mtl.data.folder.files.csv_labels import CsvLabels
from mtl.data.folder.findings import DataReport
from mtl.data.folder.folder_set import FolderSet
from mtl.data.folder.image_labels import ImageLabels, is_labelled, tables_of
from mtl.data.folder.map_files import MapFiles
from mtl.data.folder.read_folder import FolderContents, read_folder
from mtl.data.folder.splits import draw_splits, read_splits
from mtl.data.image_size import checked_size
from mtl.data.images import MAX_PIXELS
from mtl.data.label_check import LabelCount
from mtl.data.module import JointDataModule
from mtl.data.resize import FitMode
from mtl.data.sources.fetch import how_to_fetch
from mtl.task import Task

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class FolderDataModule(JointDataModule):
    """Pictures in files with boxes, and image-level labels from an optional CSV.

    Args:
        root: folder of the data set; relative paths are relative to the working directory.
        box_classes: class names of the boxes, in the order of their index; read from the annotations by default. An
            empty list: the data set has no boxes.
        image_tasks: image-level tasks by name; each says what its column of `labels_csv` means. A task of kind
            `classification` or `multilabel` without `classes` takes the names that the column holds.
        map_tasks: tasks with a value for every pixel by name; each says where its files are and what they mean.
        labels_csv: CSV of image-level labels, relative to `root`; or several, with other pictures or other columns.
        labels_key: column of `labels_csv` with the names of the pictures.
        annotated_column: column of `labels_csv` with 0 and 1: whether the picture's boxes are annotated; by default all
            pictures with an annotation. Pictures that are not annotated are ignored by the box task; annotated pictures
            without boxes are examples without objects.
        splits: folder with `train.txt`, `val.txt` and `test.txt`, relative to `root`: one picture name per line, with
            or without extension.
        fractions: shares of train, val and test of a random split, in place of `splits`.
        split_seed: seed of the random split; separate from `seed`, so runs with other seeds share the test pictures.
        image_size: height and width of the network's input in pixels.
        fit: `letterbox` keeps proportions, `stretch` fills the input.
        on_bad_box: for a box more than 1 px outside its picture: `error`, `clip` or `skip`; for a box that is not four
            numbers: `error` or skip. Boxes without area are always skipped; skipped and clipped boxes are reported.
        on_unknown_class: for a box of a class that is not in `box_classes`: `error` or `skip`.
        on_bad_image: for a picture or a map that cannot be decoded or is too large: `error`, which names all of them,
            or `skip`; a skipped map leaves its picture without a label.
        verify_images: decode each picture at the start, once: files that have not changed since are remembered in
            `~/.cache/mtl`. Otherwise only headers are read.
        max_pixels: maximum number of pixels per picture (height times width); a larger picture is an error.
        boxes_on: coordinates of boxes if a picture has an EXIF orientation: of the `upright` picture, or of the
            `stored` pixels. By default upright, and an error if the annotation declares the stored size.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white, such as [0, 4095] for
            12 bits. By default 0 and 65535, and 0 and 255 for floats; an error if pictures would be nearly black.
        cache: keep all resized pictures in memory (3 x height x width bytes each); they are decoded at the start.
        report_csv: also write the findings of the checks to this file; in a config, a name in the run's folder.
        **kwargs: arguments of `JointDataModule`.
    """

    own_splits: ClassVar[bool] = False  # whether the data set defines its splits, so that `splits` has no effect
    set_class: type[FolderSet] = FolderSet  # class of a split's samples

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        image_tasks: dict[str, ImageLabels] | None = None,
        map_tasks: dict[str, MapFiles] | None = None,
        labels_csv: str | list[str] | None = None,
        labels_key: str = "image",
        annotated_column: str | None = None,
        splits: str = "splits",
        fractions: list[float] | None = None,
        split_seed: int = 0,
        image_size: tuple[int, int] = (320, 320),
        fit: FitMode = "letterbox",
        on_bad_box: OnBadBox = "error",
        on_unknown_class: OnUnknownClass = "error",
        on_bad_image: OnBadImage = "error",
        verify_images: bool = True,
        max_pixels: int = MAX_PIXELS,
        boxes_on: BoxesOn | None = None,
        pixel_range: PixelRange | None = None,
        cache: bool = False,
        report_csv: str | None = None,
        **kwargs: Any,
    ) -> None:
        if box_classes is None:
            raise ValueError(
                f"{type(self).__name__} needs `box_classes`: class names of the boxes, or [] without boxes."
            )
        tables = tables_of(Path(root), labels_csv)
        image_tasks = dict(with_classes(image_tasks, tables) or {})
        super().__init__(
            self.declare_tasks(box_classes=box_classes, image_tasks=image_tasks, map_tasks=map_tasks), **kwargs
        )
        if (image_tasks or annotated_column) and not labels_csv:
            raise ValueError("image_tasks and annotated_column need `labels_csv`; set its path relative to `root`.")
        if self.own_splits and splits != "splits":
            raise ValueError(f"{type(self).__name__} defines its splits; remove `splits`, or set `fractions`.")
        self.root = Path(root)
        self.box_classes = tuple(box_classes)
        self.image_tasks = {name: ImageLabels.of(spec) for name, spec in (image_tasks or {}).items()}
        self.map_tasks = {name: MapFiles.of(spec) for name, spec in (map_tasks or {}).items()}
        self.csv_labels: CsvLabels | None = None
        if tables:
            self.csv_labels = CsvLabels(tables, labels_key, self.image_tasks, annotated_column)
        self.splits = splits
        self.fractions = fractions
        self.split_seed = split_seed
        self.image_size = checked_size(image_size)
        self.fit_mode = fit
        if max_pixels < 1:
            raise ValueError(f"max_pixels={max_pixels} must be at least 1.")
        if pixel_range is not None:
            pixel_range = (float(pixel_range[0]), float(pixel_range[1]))
            if not math.isfinite(pixel_range[1] - pixel_range[0]) or pixel_range[1] <= pixel_range[0]:
                raise ValueError(f"pixel_range={list(pixel_range)} must be two numbers, the black and the white value.")
        self.checks = Checks(
            self.box_classes, on_bad_box, on_unknown_class, verify_images, max_pixels, boxes_on, on_bad_image,
            pixel_range,
        )  # fmt: skip
        self.cache = cache
        self.report_csv = report_csv
        self.data_report = DataReport(f"{type(self).__name__} {root}")
        self._contents = FolderContents()

    @classmethod
    def read_arguments(
        cls,
        *,
        root: str = "",
        box_classes: Sequence[str] | None = None,
        image_tasks: Mapping[str, Any] | None = None,
        labels_csv: str | list[str] | None = None,
        **init_args: Any,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        folder = cls.place(root)
        if not folder.is_dir():
            return found  # `setup` says what to do
        if box_classes is None and (names := cls.read_class_names(folder, **init_args)) is not None:
            found["box_classes"] = names
        known = with_classes(image_tasks, tables_of(folder, labels_csv))
        return found if known is image_tasks else found | {"image_tasks": known}

    @staticmethod
    def place(root: str) -> Path:
        """Folder of the data set, with `~` and variables replaced: a config is read before that is done.

        Args:
            root: as written.
        """
        return Path(expanded(root))

    @classmethod
    def read_class_names(cls, root: Path, **init_args: Any) -> list[str] | None:
        """Class names of the boxes from the annotations, for a config without `box_classes`; None if nothing says them.

        Args:
            root: folder of the data set.
            init_args: other arguments of the constructor.

        Raises:
            ValueError: if the annotations cannot be read, or hold no class.
        """
        return None

    @classmethod
    def declare_tasks(
        cls,
        *,
        box_classes: Sequence[str] | None = None,
        image_tasks: Mapping[str, Any] | None = None,
        map_tasks: Mapping[str, Any] | None = None,
        **init_args: Any,
    ) -> dict[str, Task]:
        if init_args.get("root"):
            read = cls.read_arguments(box_classes=box_classes, image_tasks=image_tasks, **init_args)
            box_classes, image_tasks = read.get("box_classes", box_classes), read.get("image_tasks", image_tasks)
        if isinstance(box_classes, str | Mapping):
            names = list(box_classes.values()) if isinstance(box_classes, Mapping) else box_classes.split()
            raise ValueError(f"box_classes={box_classes!r} must be a list: [{', '.join(map(str, names))}].")
        tasks = {"boxes": Task("boxes", "detection", class_names=tuple(box_classes))} if box_classes else {}
        tasks |= {name: ImageLabels.of(spec).task(name) for name, spec in (image_tasks or {}).items()}
        return tasks | {name: MapFiles.of(spec).task(name) for name, spec in (map_tasks or {}).items()}

    @classmethod
    def arguments_of_example(cls, folder: Path) -> dict[str, Any]:
        """Arguments for a folder that `write_example_pictures` has filled, for `example_args` of subclasses.

        Args:
            folder: the folder.
        """
        tasks = {"light": {"classes": ["day", "dusk"]}}
        size = {"image_size": (HEIGHT, WIDTH)}
        return {"root": str(folder), "box_classes": CLASSES, "labels_csv": "labels.csv", "image_tasks": tasks, **size}

    @abstractmethod
    def names(self) -> list[str]:
        """Names of all pictures of the data set, without extension; reads what `record` needs."""

    @abstractmethod
    def record(self, name: str) -> AnnotatedImage:
        """The annotations of one picture.

        Args:
            name: a picture name from a split; `names` may not contain it.
        """

    def other_names(self) -> list[str]:
        """Names of pictures that `names` does not list but `record` accepts."""
        return []

    def explain_source(self, name: str) -> str:
        """Explain in a sentence why no picture of a split has an annotation; called before `release`.

        Args:
            name: name of the split's first picture.
        """
        return ""

    def release(self) -> None:
        """Free the data that `names` read; the packed arrays remain."""

    def label_specs(self) -> dict[str, ImageLabels]:
        """Specification of each image-level task in the records."""
        return self.image_tasks

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
        return self.set_class(
            self._contents.annotations[split],
            self._contents.targets[split],
            self.image_size,
            self.fit_mode,
            self.cache,
            self.checks.max_pixels,
            self.map_tasks,
            self.checks.pixel_range,
        )

    def count_labels(self, split: str, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
        annotations, num = self._contents.annotations[split], len(self._contents.annotations[split])
        learned = int((annotations.labels >= 0).sum())  # ignored boxes teach nothing
        counts = {"boxes": LabelCount(int(annotations.annotated.sum()), num, num, learned)}
        for name, values in self._contents.targets[split].items():
            counts[name] = LabelCount(int(is_labelled(values).sum()), num, num)
        for name, files in annotations.maps.items():
            counts[name] = LabelCount(int((files != b"").sum()), num, num)
        others = {name: task for name, task in tasks.items() if name not in counts}
        return {name: counts[name] for name in tasks if name in counts} | super().count_labels(split, others)

    def training_classes(self, task: Task) -> list[list[int]]:
        annotations, values = self._contents.annotations["train"], self._contents.targets["train"].get(task.name)
        if values is not None and values.dtype == np.int64:
            return [[] if value == IGNORE_INDEX else [value] for value in values.tolist()]
        if task.name == "boxes":
            ends, known = annotations.offsets.tolist(), annotations.annotated.tolist()
            labels = annotations.labels.tolist()
            rows = [labels[ends[i] : ends[i + 1]] if known[i] else [] for i in range(len(annotations))]
            return [[label for label in of_one if label >= 0] for of_one in rows]  # ignored boxes count for no class
        return super().training_classes(task)

    def report_all(self) -> None:
        """Let `setup` report every picture and box that it would refuse, as `refused`, in place of the first error."""
        kinds = {
            "on_bad_box": ("box_outside", "bad_box"),
            "on_unknown_class": ("unknown_class",),
            "on_bad_image": ("bad_image", "bad_map"),
        }
        strict = {name: found for name, found in kinds.items() if getattr(self.checks, name) == "error"}
        skip: dict[str, Any] = dict.fromkeys(strict, "skip")
        self.checks = replace(self.checks, **skip)
        self.data_report.refused = frozenset(kind for found in strict.values() for kind in found)

    def explain_unlabelled(self, split: str, task: Task) -> str:
        return self._contents.unlabelled.get((split, task.name), "")

    def setup(self, stage: str) -> None:
        # once, to report findings once: `fit` followed by `test` calls `setup` twice
        if not self._contents.annotations:
            if not self.root.is_dir():
                raise ValueError(
                    f"data folder {str(self.root)!r} does not exist (working directory {str(Path.cwd())!r}). "
                    "Set data.init_args.root to the folder of the data set, or put the data there."
                    f"{how_to_fetch(self.root)}"
                )
            try:
                self._contents = read_folder(self)
                self.release()
                self.data_report.log_summary()
            finally:  # findings explain an error too
                if self.report_csv:
                    folder = Path(self.trainer.default_root_dir) if self.trainer else Path()
                    self.data_report.write_csv(folder / self.report_csv)
        for split in _STAGES[stage]:
            if split not in self._contents.annotations:
                raise ValueError(
                    f"{self.data_report.name} has no split {split!r}, which stage {stage!r} needs; it has "
                    f"{', '.join(self._contents.annotations)}. Add {split}.txt to the splits folder, or a share to "
                    "`fractions`."
                )
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self.make_set(split))
