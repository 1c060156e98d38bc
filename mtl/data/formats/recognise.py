"""What a folder holds: the parts that its formats find, joined to the arguments of one data module."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mtl.data.formats.format import FolderFormat, Listing, Part, common_folder, formats, list_files

_WAYS = (
    "VOC or CVAT XML, COCO, CreateML or LabelMe JSON, YOLO text files, a CSV with the boxes or the labels of pictures, "
    "a folder for each class, or masks named as the pictures"
)
_SHEETS = (".xlsx", ".xls", ".ods", ".parquet", ".jsonl")
_FOREIGN = (".heic", ".heif", ".avif", ".jfif", ".jpe", ".jp2", ".jxl", ".dng", ".cr2", ".nef")
_CLASSES = {"classification", "multilabel"}
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Recognised:
    """The arguments of one data module.

    Args:
        root: the folder.
        class_path: the data module.
        init_args: its arguments, without splits and sizes.
        tasks: kind of each task that is proposed, by name.
        open_tasks: settings of image-level tasks that are possible, but not proposed, by name.
        formats: what was found, for people.
        notes: what the user should know.
        split_column: column of the table of labels that names the splits.
        group_column: column of the table of labels whose values must stay in one split.
    """

    root: Path
    class_path: str
    init_args: dict[str, Any]
    tasks: dict[str, str]
    open_tasks: dict[str, Any] = field(default_factory=dict)
    formats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    split_column: str | None = None
    group_column: str | None = None


def recognise(root: Path) -> Recognised:
    """Find the formats in a folder.

    Args:
        root: the folder.

    Raises:
        ValueError: if it holds no annotation that a format knows.
    """
    files = list_files(root)
    parts: list[Part] = []
    notes: list[str] = []
    for one in formats():
        if one.gives in ("objects", "folders") and any(part.class_path for part in parts):
            notes += _not_used(one, files)
            continue
        try:
            part = one.find(files)
        except ValueError as error:
            if one.gives != "labels" or not parts:
                raise
            notes.append(f"labels are left out: {error}")
            continue
        if part is not None:
            parts.append(part)
            files = _without_maps(files, part)
    if any(part.class_path is None and _CLASSES & {*part.tasks.values()} for part in parts):
        notes += [part.in_doubt for part in parts if part.in_doubt]
        parts = [part for part in parts if not part.in_doubt]
    if not any(part.tasks for part in parts):
        first = ", ".join(repr(name) for name in (*files.others[:3], *files.pictures[:2]))
        hints = [*_foreign_pictures(files), *_hints(files, folders=False)]
        if packed := next((name for name in files.others if name.lower().endswith(_ARCHIVES)), None):
            hints.append(f"{packed} is an archive: unpack it, if the annotations are in it.")
        if sheet := next((name for name in files.others if name.lower().endswith(_SHEETS)), None):
            hints.append(f"{sheet} cannot be read here: save it as CSV, if the annotations are in it.")
        hints = hints or _hints(files, folders=True)  # with nothing else, folders may be meant as classes
        raise ValueError(
            f"{str(root)!r} holds {len(files.pictures)} pictures, and no annotation that is known here: {_WAYS}. It "
            f"holds {first}, ...{''.join(f' {hint}' for hint in hints)}"
        )
    return _joined(root, files, parts, [*notes, *_foreign_pictures(files)])


def _not_used(one: FolderFormat, files: Listing) -> list[str]:
    """A note about boxes that are there in a second format."""
    try:
        part = one.find(files) if one.gives == "objects" else None
    except ValueError:
        return []
    return [] if part is None else [f"{part.format} (read by {part.class_path}) are there as well; they are not used."]


def _hints(files: Listing, folders: bool) -> list[str]:
    """What is nearly right, of the formats that are folders or of all others."""
    return [hint for one in formats() if (one.gives == "folders") == folders and (hint := one.hint(files))]


def _foreign_pictures(files: Listing) -> list[str]:
    """A note about pictures that cannot be read."""
    found = [name for name in files.others if name.lower().endswith(_FOREIGN)]
    if not found:
        return []
    return [f"{len(found)} pictures such as {found[0]} cannot be read here: convert them to JPEG or PNG."]


def _without_maps(files: Listing, part: Part) -> Listing:
    maps = frozenset(part.maps)
    return replace(files, pictures=tuple(name for name in files.pictures if name not in maps)) if maps else files


def _joined(root: Path, files: Listing, parts: Iterable[Part], more: list[str]) -> Recognised:
    parts = sorted(parts, key=lambda part: part.class_path is None)
    class_path = parts[0].class_path or "PictureFolder"
    arguments: dict[str, Any] = {}
    tasks: dict[str, str] = {}
    open_tasks: dict[str, Any] = {}
    for part in parts:
        arguments = {**part.init_args, **arguments}
        for name, kind in part.tasks.items():
            if name in part.open_tasks:
                open_tasks[name] = arguments["image_tasks"][name]
            else:
                tasks[name] = kind
    if "image_tasks" in arguments:
        arguments["image_tasks"] = {name: spec for name, spec in arguments["image_tasks"].items() if name in tasks}
    if class_path == "PictureFolder":
        arguments.setdefault("images", _images(files))
        if arguments["images"] == "images":
            del arguments["images"]
    return Recognised(
        root,
        class_path,
        arguments,
        tasks,
        open_tasks,
        tuple(part.format for part in parts if part.format),
        (*(note for part in parts for note in part.notes), *more),
        next((part.split_column for part in parts if part.split_column), None),
        next((part.group_column for part in parts if part.group_column), None),
    )


def _images(files: Listing) -> str:
    return PurePosixPath(common_folder(files.pictures)).as_posix()
