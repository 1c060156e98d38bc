"""`PictureTable`: pictures of your own, named by a CSV file, with numbers, categories and labels beside them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mtl.config.paths import expanded
from mtl.data.class_counts import Classes
from mtl.data.csv_rows import Rows
from mtl.data.deep_pixels import PixelRange
from mtl.data.folder.decoded import find_undecodable
from mtl.data.folder.image_labels import ImageLabels, is_labelled
from mtl.data.folder.picture_names import is_file
from mtl.data.image_size import checked_size
from mtl.data.images import MAX_PIXELS, SUFFIXES, read_header
from mtl.data.module import JointDataModule
from mtl.data.resize import FitMode
from mtl.data.table.csv_table import CsvTable
from mtl.data.table.module import INPUT
from mtl.data.table.named_files import named_file, usable_rows
from mtl.data.table.picture_rows import PictureRows
from mtl.errors import check_least
from mtl.targets.target import target_of
from mtl.task import Inputs, InputSpec, Task

Modality = Literal["image", "row"]
IMAGE = "image"  # name of the input


class PictureTable(CsvTable):
    """Rows with a picture each. Inputs: `image`, and `row` with columns of numbers, which a fusion backbone joins.

    Args:
        path: the CSV file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means: `diagnosis: {}` (classes as the column has them),
            `age: {kind: regression}`.
        picture: column with the file of the picture, with or without its suffix.
        folder: folder that these names are relative to; the folder of the CSV by default.
        optional: inputs that a row may lack: `image`, whose cell is then empty, and `row`, whose cells are then all
            empty. A row has at least one of them. By default an empty cell of `picture` is an error, and a row whose
            cells are all empty is a row of missing cells.
        image_size: height and width of the network's input in pixels.
        fit: `letterbox` keeps proportions, `stretch` fills the input.
        on_bad_image: for a picture that is not there, cannot be decoded or is too large: `error`, which names them, or
            `skip`, which leaves out the row and says how many.
        verify_images: decode each picture at the start, once: files that have not changed since are remembered in
            `~/.cache/mtl`. Otherwise only headers are read.
        max_pixels: maximum number of pixels per picture (height times width).
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white, such as [0, 4095].
        cache: keep all resized pictures in memory (3 x height x width bytes each).
        **kwargs: arguments of `TableDataModule`.

    Raises:
        ValueError: for an optional input that there is not, and for sizes out of range.
    """

    only_numbers = False

    def __init__(
        self,
        path: str,
        column_tasks: dict[str, ImageLabels],
        picture: str = "picture",
        folder: str | None = None,
        optional: Sequence[Modality] = (),
        image_size: tuple[int, int] = (224, 224),
        fit: FitMode = "letterbox",
        on_bad_image: Literal["error", "skip"] = "error",
        verify_images: bool = True,
        max_pixels: int = MAX_PIXELS,
        pixel_range: PixelRange | None = None,
        cache: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(path, column_tasks, **kwargs)
        check_least(1, max_pixels=max_pixels)
        self.inputs = _inputs(self.numbers_input(self.columns), optional)
        self.picture = picture
        self.folder = Path(expanded(folder)) if folder else self.path.parent
        self.image_size = checked_size(image_size)
        self.on_bad_image = on_bad_image
        self.verify_images = verify_images
        self.of_pictures: dict[str, Any] = {
            "fit": fit,
            "max_pixels": max_pixels,
            "pixel_range": pixel_range and (float(pixel_range[0]), float(pixel_range[1])),
            "cache": cache,
        }

    @classmethod
    def declare_inputs(cls, *, optional: Sequence[Modality] = (), **init_args: Any) -> Inputs:
        return _inputs(super().declare_inputs(**init_args), optional)

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        lines = ["picture,age,sex,diagnosis,weight,split"]
        for number in range(20):
            pixels = rng.integers(256, size=(20, 24 + number % 3, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{number}.png")
            split = ("train", "train", "train", "val", "test")[number % 5]
            cells = [
                f"p{number}{'.png' if number % 2 else ''}",
                str(20 + number) if number % 4 else "",
                "fm"[number % 2],
            ]
            lines.append(",".join([*cells, ("ill", "well", "")[number % 3], str(50 + number), split]))
        (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {
            "path": str(folder / "patients.csv"),
            "column_tasks": {"diagnosis": {}, "weight": {"kind": "regression"}},
            "numeric": ["age"],
            "categorical": {"sex": ["f", "m"]},
            "image_size": (32, 32),
            "split_column": "split",
        }

    def more_columns(self) -> list[str]:
        return [self.picture]

    def faults(self, rows: Rows) -> dict[int, str]:
        found = super().faults(rows)
        readable = [place for place in range(len(rows.rows)) if place not in found]
        # a new table names pictures beside itself, or in the folder of the training
        _, bad = self._files(rows.at(readable), [Path(rows.source).parent, self.folder])
        return dict(sorted((found | {readable[place]: why for place, why in bad.items()}).items()))

    def new_rows(self, rows: Rows) -> PictureRows:
        files, _ = self._files(rows, [Path(rows.source).parent, self.folder], verify=False)
        return self._set(rows, list(files.values()), {}, "")

    def make_set(self, rows: Rows, split: str) -> PictureRows:
        files, faults = self._files(rows, [self.folder])
        kept = usable_rows(rows, faults, split, "rows", "on_bad_image", self.on_bad_image, "`picture` and `folder`")
        rows = rows.at(kept)
        targets = self.targets_of(rows)
        return self._set(rows, [files[place] for place in kept], targets, split)

    def training_values(self, name: str) -> Iterator[Any]:
        train = self.all_sets["train"]
        if name != INPUT:
            yield from JointDataModule.training_values(self, name)
        else:  # without a look at the pictures
            yield from (values for values, empty in zip(train.values, train.empty, strict=True) if not empty)

    def training_classes(self, task: Task) -> Classes:
        values, target = self.all_sets["train"].targets[task.name], target_of(task)
        known = zip(values, is_labelled(values), strict=True)
        return [target.class_indices({task.name: value}) if labelled else [] for value, labelled in known]

    def _set(self, rows: Rows, files: list[Path | None], targets: Mapping[str, Any], split: str) -> PictureRows:
        values = self.encode(rows, split) if INPUT in self.inputs else None
        lacking = np.zeros(len(rows.rows), bool)
        if values is not None and self.inputs[INPUT].optional:
            lacking = self.columns.are_empty(values)
        cells = zip(rows.rows, rows.lines, strict=True)
        names = [row[self.picture].strip() or f"line {line}" for row, line in cells]
        groups = self.subgroups_of(rows) if split else {}
        return PictureRows(names, files, targets, self.image_size, values, lacking, groups, **self.of_pictures)

    def _files(
        self, rows: Rows, folders: Sequence[Path], verify: bool = True
    ) -> tuple[dict[int, Path | None], dict[int, str]]:
        """The picture of every row, None where it has none and need not, and what is wrong with rows, by place."""
        files: dict[int, Path | None] = {}
        faults: dict[int, str] = {}
        absent = [place for place, row in enumerate(rows.rows) if not row[self.picture].strip()]
        for place, row in enumerate(rows.rows):
            files[place] = None
            if place not in absent:
                file = files[place] = named_file(folders, row[self.picture], SUFFIXES)
                if not is_file(file):
                    faults[place] = f"there is no file {str(file)!r}"
            elif not self.inputs[IMAGE].optional:
                faults[place] = f"column {self.picture!r} is empty (`optional: [image]` allows that)"
        if absent and self.inputs[IMAGE].optional:
            lacks_row = INPUT not in self.inputs or self.inputs[INPUT].optional
            values = self.columns.encode(rows.at(absent))[0]
            for place, empty in zip(absent, self.columns.are_empty(values), strict=True):
                if lacks_row and empty:
                    faults[place] = "neither a picture nor a cell of the row is there"
        if verify:
            faults |= self._undecodable({place: file for place, file in files.items() if file and place not in faults})
        return files, dict(sorted(faults.items()))

    def _undecodable(self, files: Mapping[int, Path]) -> dict[int, str]:
        bad: dict[Path, str] = {}
        for file in dict.fromkeys(files.values()):
            try:
                read_header(file, self.of_pictures["max_pixels"])
            except ValueError as error:
                bad[file] = str(error)
        if self.verify_images:
            good = [file for file in files.values() if file not in bad]
            bad |= find_undecodable(good, self.folder, self.of_pictures["max_pixels"])
        reasons = {file: why.rsplit(" Replace the file", 1)[0].removesuffix(".") for file, why in bad.items()}
        return {place: reasons[file] for place, file in files.items() if file in reasons}


def _inputs(numbers: Inputs, optional: Sequence[Modality]) -> Inputs:
    named = list(optional)
    if wrong := [name for name in named if name not in (IMAGE, *numbers)]:
        raise ValueError(
            f"optional={named} names {wrong[0]!r}; expected inputs among {', '.join((IMAGE, *numbers))}. The input "
            "`row` is there with columns in `numeric` or `categorical`."
        )
    inputs = {IMAGE: InputSpec(IMAGE, "image", channels=3, optional=IMAGE in named)}
    for name, spec in numbers.items():
        inputs[name] = InputSpec(name, spec.kind, names=spec.names, optional=name in named)
    return inputs
