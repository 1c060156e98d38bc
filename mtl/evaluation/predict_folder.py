"""Predict a folder of pictures with a trained model: COCO JSON, a CSV, masks, and annotated copies."""

import errno
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich import get_console
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from mtl.data.images import SUFFIXES
from mtl.data.resize import FitMode, read_fitted
from mtl.errors import printable
from mtl.evaluation.prediction_files import Found, coco_document, write_csv, write_picture
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of
from mtl.task import Task

_ABOUT_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)  # such as a.png beside a.png.png/
_MOST_NAMES = 10  # of skipped files on the screen


@dataclass
class _Skipped:
    names: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def predict_folder(
    model: MultiTaskModel | MultiTaskLightningModule,
    images: Path,
    output: Path,
    image_size: Sequence[int] | int | None,
    score_threshold: float = 0.3,
    batch_size: int = 16,
    fit: FitMode = "letterbox",
) -> dict[str, Any]:
    """Predict for every picture below a folder; write `predictions.json`, `predictions.csv`, `pictures/` and `masks/`.

    Args:
        model: a trained model, on the device to use.
        images: folder of pictures of any size and form; files of other kinds are left alone.
        output: folder to write to.
        image_size: height and width of the network's input in pixels, or its side; as in training.
        score_threshold: boxes below it are left out, 0 to 1.
        batch_size: pictures at a time.
        fit: how a picture is brought to that size, as in training.

    Returns:
        Numbers of `pictures`, `boxes` and `skipped` files, and `skipped_files` by name with the reason.

    Raises:
        ValueError: for a folder without pictures, or where none can be decoded, for settings out of range, and for a
            model that takes anything but pictures.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    channels = channels_of_pictures(plain)
    size = _size(image_size)
    if not 0 <= score_threshold <= 1 or batch_size < 1:
        raise ValueError(
            f"score_threshold={score_threshold} must lie within 0..1 and batch_size={batch_size} be at least 1."
        )
    tasks = {name: plain.head(name).task for name in plain.heads}
    files = _files(Path(images), Path(output))
    skipped = _Skipped()
    found = []
    training = plain.training
    plain.eval()
    try:
        read = _read(Path(images), files, size, fit, batch_size, channels, skipped)
        for one in _predict(plain, tasks, read, score_threshold):
            try:
                one.name.encode()  # the table is in UTF-8
                write_picture(one, tasks, Path(output))
            except (UnicodeEncodeError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in _ABOUT_NAMES:
                    raise
                skipped.names.append(one.name)
                skipped.reasons.append(f"its copy cannot be named: {error}")
            else:
                found.append(one)
    finally:
        plain.train(training)
    _report(skipped)
    if not found:
        raise ValueError(f"none of the {len(files)} pictures in {str(images)!r} could be decoded; see the names above.")
    document = coco_document(found, tasks)
    document["skipped"] = [
        {"file_name": name, "reason": reason} for name, reason in zip(skipped.names, skipped.reasons, strict=True)
    ]
    (Path(output) / "predictions.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    write_csv(found, tasks, Path(output) / "predictions.csv")
    return {
        "pictures": len(found),
        "boxes": len(document["annotations"]),
        "skipped": len(skipped.names),
        "skipped_files": dict(zip(skipped.names, skipped.reasons, strict=True)),
    }


def channels_of_pictures(model: MultiTaskModel) -> int:
    """Channels of the pictures that a model takes.

    Args:
        model: the model.

    Raises:
        ValueError: if it takes anything else than one RGB or grey picture.
    """
    inputs = list(model.inputs.values())
    if len(inputs) == 1 and isinstance(inputs[0], ImageInput) and inputs[0].spec.channels in (1, 3):
        return inputs[0].spec.channels
    specs = [part.spec for part in inputs if isinstance(part, Input)]
    takes = ", ".join(f"{spec.name} ({spec.kind}, {spec.channels} channels)" for spec in specs)
    raise ValueError(
        f"predict reads folders of RGB or grey pictures (--images) or a CSV (--table); this model takes {takes}."
    )


def _size(image_size: Sequence[int] | int | None) -> tuple[int, int]:
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if image_size is None or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            f"image_size={image_size!r} must be the height and width of the network's input, or its side. "
            "Give the size that the model was trained with."
        )
    return int(image_size[0]), int(image_size[1])


def _files(images: Path, output: Path) -> list[Path]:
    if not images.is_dir():
        raise ValueError(f"there is no folder {str(images)!r}; give a folder of pictures.")
    inside = output.resolve()
    files = sorted(
        path
        for path in images.rglob("*")
        # results of an earlier call are no input
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.resolve().is_relative_to(inside)
    )
    if not files:
        raise ValueError(f"folder {str(images)!r} has no picture ({', '.join(SUFFIXES)}); give another one.")
    return files


@dataclass(frozen=True)
class _Read:
    """A picture as the network takes it."""

    path: Path
    name: str
    image: Tensor
    original_size: Tensor
    to_original: Tensor


def _read(
    root: Path,
    files: list[Path],
    size: tuple[int, int],
    fit: FitMode,
    batch_size: int,
    channels: int,
    skipped: _Skipped,
) -> Iterator[list[_Read]]:
    for start in range(0, len(files), batch_size):
        read = []
        for path in files[start : start + batch_size]:
            name = path.relative_to(root).as_posix()
            try:
                image, original_size, to_original = read_fitted(path, size, fit)
            except ValueError as error:
                skipped.names.append(name)
                skipped.reasons.append(str(error.__cause__ or error))
                continue
            if channels == 1:
                image = rgb_to_grayscale(image)
            read.append(_Read(path, name, image, original_size, to_original))
        if read:
            yield read


def _predict(
    model: MultiTaskModel, tasks: dict[str, Task], batches: Iterable[list[_Read]], score_threshold: float
) -> Iterator[Found]:
    device = next(model.parameters()).device
    for read in batches:
        predictions = model.predict(torch.stack([one.image for one in read]).to(device))
        for index, one in enumerate(read):
            height, width = one.original_size.tolist()
            overlays = {
                name: target_of(tasks[name]).overlay(found, index, None, score_threshold)
                for name, found in predictions.items()
            }
            overlays = {name: shown.in_file(one.to_original, height, width) for name, shown in overlays.items()}
            yield Found(one.path, one.name, height, width, overlays)


def _report(skipped: _Skipped) -> None:
    if not skipped.names:
        return
    lines = [printable(f"{name}: {reason}") for name, reason in zip(skipped.names, skipped.reasons, strict=True)]
    more = len(lines) - _MOST_NAMES
    lines = lines[:_MOST_NAMES] + ([f"and {more} more, all in predictions.json"] if more > 0 else [])
    text = f"skipped {len(skipped.names)} undecodable files:\n  " + "\n  ".join(lines)
    get_console().print(text, highlight=False, markup=False, soft_wrap=True)
