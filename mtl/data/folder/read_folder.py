"""One pass over a data set of picture files: names in the splits, annotations, labels, checks, packed arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mtl.data.folder.annotations import AnnotatedImage, Annotations
from mtl.data.folder.decoded import without_undecodable
from mtl.data.folder.duplicates import report_duplicates
from mtl.data.folder.files.csv_labels import image_targets
from mtl.data.folder.findings import DataReport
from mtl.data.folder.image_labels import is_labelled
from mtl.data.folder.packing import check_and_pack
from mtl.data.folder.picture_names import match_names, plain_name
from mtl.errors import did_you_mean

if TYPE_CHECKING:
    from mtl.data.folder.module import FolderDataModule


@dataclass
class FolderContents:
    """What the samples of a data set are made of.

    Attributes:
        annotations: of the pictures, by split.
        targets: labels of image-level tasks, by split and task.
        unlabelled: why a task has no label in a split, by split and task.
    """

    annotations: dict[str, Annotations] = field(default_factory=dict)
    targets: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)
    unlabelled: dict[tuple[str, str], str] = field(default_factory=dict)


def read_folder(data: "FolderDataModule") -> FolderContents:
    """Read and check everything; what is found goes to the data module's report.

    Args:
        data: the data module, which knows the names of its pictures and reads their annotations.

    Raises:
        ValueError: for annotations or labels that the checks refuse, or a split without any picture.
    """
    names, report = data.names(), data.data_report
    splits = _known_pictures(data, data.read_splits(names), names)
    used = dict.fromkeys(name for wanted in splits.values() for name in wanted)
    if data.csv_labels:
        data.csv_labels.read({*names, *used}, report)
    found = FolderContents()
    listed: dict[str, list[AnnotatedImage]] = {}
    for split, wanted in splits.items():
        if all(splits[other] != wanted for other in listed):
            listed[split] = [data.record(name) for name in _once(wanted, split, report)]
            for record in listed[split]:
                record.maps = {task: files.file(data.root, record.name) for task, files in data.map_tasks.items()}
    listed = without_undecodable(listed, data.root, data.checks, report)
    for split, wanted in splits.items():
        twin = next((other for other in found.annotations if splits[other] == wanted), None)
        if twin:
            report.add("same_pictures", split, "", f"as {twin}", "kept")
            continue
        records = listed.pop(split)
        if data.csv_labels:
            data.csv_labels.add_to(records, split, report)
        looked_for = records[0].path if records else None
        records, found.annotations[split] = check_and_pack(records, split, data.checks, report)
        if not records:
            raise ValueError(_nothing_found(report, split, wanted, names, looked_for))
        found.targets[split] = image_targets(data.label_specs(), records)
        found.unlabelled |= _causes(data, split, found.annotations[split], found.targets[split])
    for name in sorted(set(names) - used.keys()):
        report.add("in_no_split", "", name, "", "skipped")
    report_duplicates(found.annotations, report)
    twins = {split: next(o for o in found.annotations if splits[o] == wanted) for split, wanted in splits.items()}
    return FolderContents(
        {split: found.annotations[twin] for split, twin in twins.items()},
        {split: found.targets[twin] for split, twin in twins.items()},
        {(s, task): why for (of, task), why in found.unlabelled.items() for s, twin in twins.items() if twin == of},
    )


def _known_pictures(data: "FolderDataModule", splits: dict[str, list[str]], names: list[str]) -> dict[str, list[str]]:
    """The splits, with each written name replaced by the name of the picture that it matches."""
    written = dict.fromkeys(text for wanted in splits.values() for text in wanted)
    matches = match_names(written, names, fold_case=False)
    if not all(text in matches and matches[text].sure for text in written):
        matches = match_names(written, {*names, *data.other_names()}, fold_case=False)
    for text, match in matches.items():
        if not match.sure:
            data.data_report.add("name_differs", "", match.name, f"{text!r} in the splits", "matched")
    return {
        split: [matches[text].name if text in matches else plain_name(text) for text in wanted]
        for split, wanted in splits.items()
    }


def _once(names: list[str], split: str, report: DataReport) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            report.add("named_twice", split, name, "", "skipped")
        seen.add(name)
    return list(dict.fromkeys(names))


def _nothing_found(report: DataReport, split: str, wanted: list[str], names: list[str], looked_for: Path | None) -> str:
    if not wanted:
        return f"{report.name}: split {split!r} is empty. Add picture names to {split}.txt."
    return (
        f"{report.name}: all {len(wanted)} pictures of split {split!r} are missing, for example "
        f"{wanted[0]!r} (file {str(looked_for)!r}).{did_you_mean(wanted[0], names)} "
        "Names are relative to the folder of pictures, with or without extension; correct the names or the folder."
    )


def _causes(
    data: "FolderDataModule", split: str, annotations: Annotations, targets: Mapping[str, NDArray[Any]]
) -> dict[tuple[str, str], str]:
    """The likely cause for each task without labels, while the source of the annotations is still there."""
    causes: dict[tuple[str, str], str] = {}
    names = [name.decode() for name in annotations.names]
    empty = [task for task, values in targets.items() if not is_labelled(values).any()]
    if not annotations.annotated.any():
        empty.append("boxes")
    elif not len(annotations.boxes):
        causes[split, "boxes"] = data.data_report.explain_skipped(split)
    for task in empty:
        why = data.csv_labels.explain(task, names) if data.csv_labels else ""
        causes[split, task] = why or ("" if task in data.image_tasks else data.explain_source(names[0]))
    return causes
