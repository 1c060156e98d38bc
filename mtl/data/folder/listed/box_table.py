"""`BoxTable`: a data set of pictures whose boxes are the rows of a CSV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mtl.data.csv_rows import Rows
from mtl.data.folder.example_pictures import write_example_pictures
from mtl.data.folder.files.box_rows import (
    ONE_CLASS,
    BoxColumns,
    BoxForm,
    BoxUnit,
    boxes_of,
    find_columns,
    list_boxes,
    read_box_rows,
)
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.listed.listed_folder import ListedFolder
from mtl.errors import did_you_mean, printable
from mtl.targets.numbers import by_value


class BoxTable(ListedFolder):
    """Pictures whose boxes a CSV lists, one in each row: `filename,class,xmin,ymin,xmax,ymax` and similar ones.

    A row whose cells of the box are empty lists a picture without objects. A picture that stands in no row is not
    annotated. Image-level labels in further columns are read with `labels_csv`, which may be the same file.

    Args:
        root: folder of the data set.
        box_classes: class names of the boxes, in the order of their index; by default all names in the table, in
            alphabetical order, and one class `object` if it has no column of classes.
        annotations: the CSV, relative to `root`, or a mapping of split to file.
        image_column: column with the names of the pictures; found by its usual names by default, as are all columns.
        class_column: column with the class names.
        box_columns: the four columns of a box, or one column that holds all numbers.
        box_form: what the four numbers are: two corners (`xyxy`), the corner at the top left, width and height
            (`xywh`), or the center, width and height (`cxcywh`). By default what the names of the columns say; where
            they say nothing, `xyxy` of four columns, and `xywh` of one.
        box_unit: `px`, or `share` of the picture's width and height; by default shares if all numbers are so small.
        header: names of the columns of a file without a line of names, in their order.
        **kwargs: arguments of `ListedFolder`.
    """

    default_annotations: ClassVar[str] = "annotations.csv"

    def __init__(
        self,
        root: str,
        box_classes: list[str] | None = None,
        annotations: str | dict[str, str] = "annotations.csv",
        image_column: str | None = None,
        class_column: str | None = None,
        box_columns: list[str] | None = None,
        box_form: BoxForm | None = None,
        box_unit: BoxUnit | None = None,
        header: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if box_columns is not None and len(box_columns) not in (1, 4):
            raise ValueError(f"box_columns={box_columns} must be the four columns of a box, or one with all numbers.")
        self.columns: dict[str, Any] = {
            "image_column": image_column, "class_column": class_column, "box_columns": box_columns,
            "box_form": box_form, "header": header,
        }  # fmt: skip
        if box_classes is None:
            box_classes = self.read_class_names(Path(root), annotations, **self.columns)
        super().__init__(root, box_classes, annotations=annotations, **kwargs)
        self.box_unit = box_unit

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        lines = ["image,class,xmin,ymin,xmax,ymax"]
        for name, (label, *box) in write_example_pictures(folder).items():
            lines.append(",".join(map(str, (f"{name}.png", label, *box))))
        (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return cls.arguments_of_example(folder)

    @classmethod
    def read_class_names(
        cls, root: Path, annotations: str | dict[str, str] | None = None, **init_args: Any
    ) -> list[str]:
        known = {name: init_args.get(name) for name in ("image_column", "class_column", "box_columns", "box_form")}
        names: set[str] = set()
        for file in cls.files_of(root, annotations):
            rows, columns = _table(file, init_args.get("header"), **known)
            if columns.label is None:
                return [ONE_CLASS]
            names |= {row[columns.label].strip() for row in rows.rows if any(boxes_of(row, columns))}
        names.discard("")
        if not names:
            raise ValueError(
                f"{str(cls.files_of(root, annotations)[0])!r} has no row with a box and its class, so there are no "
                "class names. Correct `annotations`, or set `box_classes`."
            )
        return list(by_value(names))

    def read_list(self, file: Path) -> list[ListedPicture]:
        rows, columns = _table(file, **self.columns)
        if columns.label is None and len(self.box_classes) > 1:
            raise ValueError(
                f"{str(file)!r} has no column that is called as classes are, but box_classes has "
                f"{len(self.box_classes)}. It has {printable(', '.join(rows.columns))}: set `class_column`."
            )
        one_class = self.box_classes[0] if self.box_classes else ONE_CLASS
        return list_boxes(rows, columns, self.box_unit, one_class, self.checks, self.data_report)


def _table(
    file: Path,
    header: Sequence[str] | None,
    image_column: str | None,
    class_column: str | None,
    box_columns: Sequence[str] | None,
    box_form: BoxForm | None,
) -> tuple[Rows, BoxColumns]:
    rows = read_box_rows(file, header)
    for name in (image_column, class_column, *(box_columns or ())):
        if name is not None and name not in rows.columns:
            raise ValueError(
                f"{str(file)!r} has no column {name!r}; it has {printable(', '.join(rows.columns))}."
                f"{did_you_mean(name, rows.columns)} Correct `image_column`, `class_column` or `box_columns`."
            )
    columns = find_columns(rows.columns, image_column, class_column, box_columns, box_form)
    if columns is None:
        raise ValueError(
            f"{str(file)!r} has the columns {printable(', '.join(rows.columns))}; needed are one with the names of the "
            "pictures and four with the numbers of a box, called as in filename, class, xmin, ymin, xmax, ymax. Set "
            "`image_column` and `box_columns`, or `header` if the first line is a row."
        )
    return rows, columns
