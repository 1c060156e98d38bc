"""Predicted boxes as annotation files of other tools, to correct them there or to train on them: YOLO and VOC.

One file a format and picture; what an earlier call wrote for other pictures stays.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape

from mtl.config.yaml_lines import ConfigError
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean
from mtl.evaluation.predictions.prediction_files import Found
from mtl.targets.overlay import Boxes
from mtl.targets.target import target_of
from mtl.task import Task

Row = tuple[int, str, list[float], float]  # class index over all tasks, its name, xyxy px, score


class AnnotationFormat(ABC):
    """A file for each picture.

    Args:
        output: the folder of all results.
        tasks: the tasks, by name.
    """

    word: ClassVar[str]  # by which `--format` asks for it
    folder: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, output: Path, tasks: Mapping[str, Task]) -> None:
        self.output, self.tasks = output, tasks
        detection = [task for task in tasks.values() if target_of(task).judged_as == "boxes"]
        # classes of several tasks need distinct names
        self.names = {
            (task.name, label): task.class_name(label)
            if len(detection) == 1
            else f"{task.name}/{task.class_name(label)}"
            for task in detection
            for label in range(task.num_classes)
        }
        self.index = {key: number for number, key in enumerate(self.names)}
        self._written: dict[Path, str] = {}  # the picture of each file

    def add(self, one: Found) -> None:
        """Write the boxes of one picture.

        Args:
            one: the picture.

        Raises:
            ValueError: if another picture has the same file: these tools leave the suffix of the picture out.
        """
        path = (self.output / self.folder / one.name).with_suffix(self.suffix)
        first = self._written.setdefault(path, one.name)
        if first != one.name:
            raise ValueError(
                f"its boxes belong into {path.relative_to(self.output).as_posix()}, which holds the boxes of "
                f"{first!r}. Rename one of the two pictures."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(one, list(self._rows(one))), encoding="utf-8")

    @abstractmethod
    def text(self, one: Found, rows: list[Row]) -> str:
        """The file of one picture.

        Args:
            one: the picture.
            rows: its boxes.
        """

    def _rows(self, one: Found) -> Iterator[Row]:
        for task, shown in one.overlays.items():
            found = shown.predicted
            if isinstance(found, Boxes) and found.scores is not None:
                for box, label, score in zip(
                    found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
                ):
                    yield self.index[task, label], self.names[task, label], box, score


class YoloFormat(AnnotationFormat):
    """`labels/a.txt`: a line `class cx cy width height score` for each box, and `classes.txt`."""

    word, folder, suffix = "yolo", "labels", ".txt"

    def __init__(self, output: Path, tasks: Mapping[str, Task]) -> None:
        super().__init__(output, tasks)
        output.mkdir(parents=True, exist_ok=True)
        (output / "classes.txt").write_text("".join(f"{name}\n" for name in self.names.values()), encoding="utf-8")

    def text(self, one: Found, rows: list[Row]) -> str:
        lines = []
        for index, _, (x0, y0, x1, y1), score in rows:
            numbers = [(x0 + x1) / 2 / one.width, (y0 + y1) / 2 / one.height]
            numbers += [(x1 - x0) / one.width, (y1 - y0) / one.height]
            lines.append(" ".join([str(index), *(f"{number:.6f}" for number in numbers), f"{score:.4f}"]))
        return "".join(f"{line}\n" for line in lines)


class VocFormat(AnnotationFormat):
    """`annotations/a.xml`: Pascal VOC, with whole pixels from 1 and a `score`."""

    word, folder, suffix = "voc", "annotations", ".xml"

    def text(self, one: Found, rows: list[Row]) -> str:
        lines = ["<annotation>", f"  <filename>{escape(Path(one.name).name)}</filename>"]
        lines.append(f"  <size><width>{one.width}</width><height>{one.height}</height><depth>3</depth></size>")
        for _, name, (x0, y0, x1, y1), score in rows:
            # the last pixel belongs to the box
            left, top = min(round(x0) + 1, one.width), min(round(y0) + 1, one.height)
            sides = {"xmin": left, "ymin": top, "xmax": max(round(x1), left), "ymax": max(round(y1), top)}
            corners = "".join(f"<{side}>{value}</{side}>" for side, value in sides.items())
            lines.append(f"  <object><name>{escape(name)}</name><score>{score:.4f}</score>")
            lines.append(f"    <difficult>0</difficult><bndbox>{corners}</bndbox></object>")
        return "\n".join([*lines, "</annotation>"]) + "\n"


def annotation_formats(words: list[str], output: Path, tasks: Mapping[str, Task]) -> list[AnnotationFormat]:
    """The formats of these words; `coco` and `csv` are always written, by others.

    Args:
        words: `coco`, `csv`, `yolo`, `voc`.
        output: the folder of all results.
        tasks: the tasks, by name.

    Raises:
        ConfigError: for a word that is no format, or files of boxes for a model without boxes.
    """
    known = {cls.word: cls for cls in concrete_subclasses(AnnotationFormat)}  # type: ignore[type-abstract]
    always = ("coco", "csv")
    for word in words:
        if word not in known and word not in always:
            listed = [*always, *known]
            raise ConfigError(f"--format {word!r}: there are {', '.join(listed)}.{did_you_mean(word, listed)}")
    of_boxes = [word for word in words if word in known]
    if of_boxes and not any(target_of(task).judged_as == "boxes" for task in tasks.values()):
        raise ConfigError(
            f"--format {of_boxes[0]} is for boxes, and the model has none: its files would say that nothing is there. "
            f"What it finds ({', '.join(tasks)}) is in the CSV. Leave {' and '.join(of_boxes)} out."
        )
    return [known[word](output, tasks) for word in dict.fromkeys(words) if word in known]
