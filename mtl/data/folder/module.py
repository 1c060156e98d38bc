"""`FolderDataModule`: base class of data sets of picture files: splits, checks, labels from a CSV, cache.

A subclass lists its pictures and reads their annotations (`names`, `record`). `setup` checks everything once, so faults
in the data do not stop a run in the middle of training.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.folder.annotations import AnnotatedImage, Annotations, BoxesOn, Checks, OnBadBox, OnUnknownClass
from mtl.data.folder.csv_labels import CsvLabels, image_targets
from mtl.data.folder.duplicates import report_duplicates
from mtl.data.folder.findings import DataReport
from mtl.data.folder.folder_set import FolderSet
from mtl.data.folder.image_labels import ImageLabels, is_labelled
from mtl.data.folder.map_files import MapFiles
from mtl.data.folder.packing import check_and_pack
from mtl.data.folder.picture_names import match_names, plain_name
from mtl.data.folder.splits import draw_splits, read_splits
from mtl.data.images import MAX_PIXELS
from mtl.data.label_check import LabelCount
from mtl.data.module import JointDataModule
from mtl.data.resize import FitMode
from mtl.errors import did_you_mean
from mtl.task import Task

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class FolderDataModule(JointDataModule):
    """Pictures in files with boxes, and image-level labels from an optional CSV.

    Args:
        root: folder of the data set; relative paths are relative to the working directory.
        box_classes: class names of the boxes, in the order of their index.
        image_tasks: image-level tasks by name; each says what its column of `labels_csv` means.
        map_tasks: tasks with a value for every pixel by name; each says where its files are and what they mean.
        labels_csv: CSV of image-level labels, relative to `root`.
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
        verify_images: decode each picture at the start; otherwise only headers are read.
        max_pixels: maximum number of pixels per picture (height times width); a larger picture is an error.
        boxes_on: coordinates of boxes if a picture has an EXIF orientation: of the `upright` picture, or of the
            `stored` pixels. By default upright, and an error if the annotation declares the stored size.
        cache: keep all resized pictures in memory (3 x height x width bytes each); they are decoded at the start.
        report_csv: also write the findings of the checks to this file; in a config, a name in the run's folder.
        **kwargs: arguments of `JointDataModule`.
    """

    own_splits: ClassVar[bool] = False  # whether the data set defines its splits, so that `splits` has no effect
    set_class: type[FolderSet] = FolderSet  # class of a split's samples

    def __init__(
        self,
        root: str,
        box_classes: list[str],
        image_tasks: dict[str, ImageLabels] | None = None,
        map_tasks: dict[str, MapFiles] | None = None,
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
        max_pixels: int = MAX_PIXELS,
        boxes_on: BoxesOn | None = None,
        cache: bool = False,
        report_csv: str | None = None,
        **kwargs: Any,
    ) -> None:
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
        self._csv: CsvLabels | None = None
        if labels_csv:
            self._csv = CsvLabels(self.root / labels_csv, labels_key, self.image_tasks, annotated_column)
        self.splits = splits
        self.fractions = fractions
        self.split_seed = split_seed
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.fit_mode = fit
        if max_pixels < 1:
            raise ValueError(f"max_pixels={max_pixels} must be at least 1.")
        self.checks = Checks(self.box_classes, on_bad_box, on_unknown_class, verify_images, max_pixels, boxes_on)
        self.cache = cache
        self.report_csv = report_csv
        self.data_report = DataReport(f"{type(self).__name__} {root}")
        self._annotations: dict[str, Annotations] = {}
        self._targets: dict[str, dict[str, NDArray[Any]]] = {}
        self._unlabelled: dict[tuple[str, str], str] = {}  # (split, task): why it has no label

    @classmethod
    def declare_tasks(
        cls,
        *,
        box_classes: Sequence[str] = (),
        image_tasks: Mapping[str, Any] | None = None,
        map_tasks: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Task]:
        if isinstance(box_classes, str | Mapping):
            names = list(box_classes.values()) if isinstance(box_classes, Mapping) else box_classes.split()
            raise ValueError(f"box_classes={box_classes!r} must be a list: [{', '.join(map(str, names))}].")
        tasks = {"boxes": Task("boxes", "detection", class_names=tuple(box_classes))}
        tasks |= {name: ImageLabels.of(spec).task(name) for name, spec in (image_tasks or {}).items()}
        return tasks | {name: MapFiles.of(spec).task(name) for name, spec in (map_tasks or {}).items()}

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
            self._annotations[split],
            self._targets[split],
            self.image_size,
            self.fit_mode,
            self.cache,
            self.checks.max_pixels,
            self.map_tasks,
        )

    def count_labels(self, split: str, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
        annotations, num = self._annotations[split], len(self._annotations[split])
        counts = {"boxes": LabelCount(int(annotations.annotated.sum()), num, num, len(annotations.boxes))}
        for name, values in self._targets[split].items():
            counts[name] = LabelCount(int(is_labelled(values).sum()), num, num)
        for name, files in annotations.maps.items():
            counts[name] = LabelCount(int((files != b"").sum()), num, num)
        others = {name: task for name, task in tasks.items() if name not in counts}
        return {name: counts[name] for name in tasks if name in counts} | super().count_labels(split, others)

    def explain_unlabelled(self, split: str, task: Task) -> str:
        return self._unlabelled.get((split, task.name), "")

    def setup(self, stage: str) -> None:
        # once, to report findings once: `fit` followed by `test` calls `setup` twice
        if not self._annotations:
            self._check_everything()
        for split in _STAGES[stage]:
            if split not in self._annotations:
                raise ValueError(
                    f"{self.data_report.name} has no split {split!r}, which stage {stage!r} needs; it has "
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
        splits = self._known_pictures(self.read_splits(names), names)
        used = dict.fromkeys(name for wanted in splits.values() for name in wanted)
        if self._csv:
            self._csv.read({*names, *used}, self.data_report)
        annotations: dict[str, Annotations] = {}
        targets: dict[str, dict[str, NDArray[Any]]] = {}
        twins: dict[str, str] = {}
        for split, wanted in splits.items():
            twin = next((other for other in annotations if splits[other] == wanted), None)
            if twin:
                self.data_report.add("same_pictures", split, "", f"as {twin}", "kept")
                twins[split] = twin
                continue
            records = [self.record(name) for name in self._once(wanted, split)]
            for record in records:
                record.maps = {task: files.file(self.root, record.name) for task, files in self.map_tasks.items()}
            if self._csv:
                self._csv.add_to(records, split, self.data_report)
            looked_for = records[0].path if records else None
            records, annotations[split] = check_and_pack(records, split, self.checks, self.data_report)
            if not records:
                raise ValueError(self._nothing_found(split, wanted, names, looked_for))
            targets[split] = image_targets(self.label_specs(), records)
            self._explain(split, annotations[split], targets[split])
        for name in sorted(set(names) - used.keys()):
            self.data_report.add("in_no_split", "", name, "", "skipped")
        report_duplicates(annotations, self.data_report)
        self._annotations = {split: annotations[twins.get(split, split)] for split in splits}
        self._targets = {split: targets[twins.get(split, split)] for split in splits}
        for (split, task), why in list(self._unlabelled.items()):
            self._unlabelled |= {(other, task): why for other, twin in twins.items() if twin == split}
        self.release()
        self.data_report.log_summary()
        if self.report_csv:
            folder = Path(self.trainer.default_root_dir) if self.trainer else Path()
            self.data_report.write_csv(folder / self.report_csv)

    def _known_pictures(self, splits: dict[str, list[str]], names: list[str]) -> dict[str, list[str]]:
        """The splits, with each written name replaced by the name of the picture that it matches."""
        written = dict.fromkeys(text for wanted in splits.values() for text in wanted)
        matches = match_names(written, names, fold_case=False)
        if not all(text in matches and matches[text].sure for text in written):
            matches = match_names(written, {*names, *self.other_names()}, fold_case=False)
        for text, match in matches.items():
            if not match.sure:
                self.data_report.add("name_differs", "", match.name, f"{text!r} in the splits", "matched")
        return {
            split: [matches[text].name if text in matches else plain_name(text) for text in wanted]
            for split, wanted in splits.items()
        }

    def _nothing_found(self, split: str, wanted: list[str], names: list[str], looked_for: Path | None) -> str:
        if not wanted:
            return f"{self.data_report.name}: split {split!r} is empty. Add picture names to {split}.txt."
        return (
            f"{self.data_report.name}: all {len(wanted)} pictures of split {split!r} are missing, for example "
            f"{wanted[0]!r} (file {str(looked_for)!r}).{did_you_mean(wanted[0], names)} "
            "Names are relative to the folder of pictures, with or without extension; correct the names or the folder."
        )

    def _explain(self, split: str, annotations: Annotations, targets: Mapping[str, NDArray[Any]]) -> None:
        """Store the likely cause for each task without labels, before `release` frees the source."""
        names = [name.decode() for name in annotations.names]
        empty = [task for task, values in targets.items() if not is_labelled(values).any()]
        if not annotations.annotated.any():
            empty.append("boxes")
        elif not len(annotations.boxes):
            self._unlabelled[split, "boxes"] = self.data_report.explain_skipped(split)
        for task in empty:
            why = self._csv.explain(task, names) if self._csv else ""
            self._unlabelled[split, task] = why or ("" if task in self.image_tasks else self.explain_source(names[0]))

    def _once(self, names: list[str], split: str) -> list[str]:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                self.data_report.add("named_twice", split, name, "", "skipped")
            seen.add(name)
        return list(dict.fromkeys(names))

    def label_specs(self) -> dict[str, ImageLabels]:
        """Specification of each image-level task in the records."""
        return self.image_tasks
