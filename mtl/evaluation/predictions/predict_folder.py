"""Predict a folder of pictures with a trained model: COCO JSON, a CSV, masks, and annotated copies."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich import get_console
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale

from mtl.data.deep_pixels import PixelRange
from mtl.data.files_below import files_below
from mtl.data.images import SUFFIXES
from mtl.data.resize import FitMode, read_fitted
from mtl.errors import printable
from mtl.evaluation.predictions.annotation_formats import AnnotationFormat, annotation_formats
from mtl.evaluation.predictions.frames import Frames, in_order
from mtl.evaluation.predictions.picture_copies import PictureCopies, about_disks
from mtl.evaluation.predictions.prediction_files import Found, PredictionFiles, write_copy, write_maps
from mtl.evaluation.predictions.predictor import Predictor, predictor_of
from mtl.export.onnx_file import OnnxModel
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of

_MOST_NAMES = 10  # of skipped files on the screen


def predict_folder(
    model: MultiTaskModel | MultiTaskLightningModule | OnnxModel,
    images: Path | Sequence[Path],
    output: Path,
    image_size: Sequence[int] | int | None,
    score_threshold: float = 0.3,
    batch_size: int = 16,
    fit: FitMode = "letterbox",
    pictures: int | None = None,
    pixel_range: PixelRange | None = None,
    formats: Sequence[str] = (),
    video: float | None = None,
) -> dict[str, Any]:
    """Predict for every picture below a folder; write `predictions.json`, `predictions.csv`, `pictures/` and `masks/`.

    A file that cannot be read or drawn costs nothing but itself: its name and the reason are in the JSON. Results are
    written as they come, and what an earlier call wrote to `output` is removed.

    Args:
        model: a trained model, on the device to use, or a file that was exported from one.
        images: folder of pictures of any size and form, one picture, or several of both; in folders, files of other
            kinds are left alone.
        output: folder to write to.
        image_size: height and width of the network's input in pixels, or its side; as in training.
        score_threshold: boxes below it are left out, 0 to 1.
        batch_size: pictures at a time.
        fit: how a picture is brought to that size, as in training.
        pictures: how many pictures get an annotated copy, the first ones; all by default.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white, as in training.
        formats: `yolo` and `voc`: also write the boxes as annotation files of these kinds.
        video: pictures a second: the pictures are a sequence, in the order of the numbers in their names, and their
            copies are numbered frames and a video.

    Returns:
        Numbers of `pictures`, `boxes` and `skipped` files, `skipped_files` by name with the reason, and `not_drawn`:
        pictures with results that have no annotated copy, by name with the reason; of a sequence also `frames`, which
        says what was written.

    Raises:
        ValueError: for a folder without pictures, or where none can be decoded, for settings out of range, and for a
            model that takes anything but pictures.
    """
    predictor = predictor_of(model)
    size = _size(image_size)
    if video is not None and pictures == 0:
        raise ValueError("a video is made of annotated copies; --pictures none leaves them out.")
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"score_threshold={score_threshold} must lie within 0..1 (--score).")
    for name, number, least in (("batch_size", batch_size, 1), ("pictures", pictures, 0)):
        if number is not None and number < least:
            raise ValueError(f"{name}={number} must be at least {least} (--{name}).")
    images, output = [Path(images)] if isinstance(images, str | Path) else list(images), Path(output)
    unreadable: dict[str, str] = {}
    paths = _files(images, output, unreadable)
    frames = None
    if video is not None:
        paths = {name: paths[name] for name in in_order(paths)}
        frames = Frames(output, predictor.tasks, paths, video, pixel_range)
    more = annotation_formats(list(formats), output, predictor.tasks)
    files = PredictionFiles(output, predictor.tasks)
    for name, reason in unreadable.items():
        files.skip(name, reason)
    copies = PictureCopies(
        frames.write if frames else lambda one: write_copy(one, predictor.tasks, output, pixel_range),
        lambda name, why: files.skip(name, why, "not_drawn"),
    )
    done = False
    try:
        with predictor.ready():
            for read in _read(paths, _Fit(size, fit, pixel_range, predictor.channels), batch_size, files):
                for one in _predict(predictor, read, score_threshold):
                    _write(one, files, copies, pictures, more)
                files.flush()
        copies.close()
        done = True
    finally:
        try:
            copies.close(drop=True)
            files.close()
        except OSError:
            if done:  # a full disk hides no other error
                raise
    _report(f"skipped {len(files.skipped)} files that cannot be read", files.skipped)
    _report(f"{len(files.not_drawn)} pictures have results, but no copy", files.not_drawn)
    if not files.num_pictures:
        places = ", ".join(repr(str(place)) for place in images)
        raise ValueError(f"none of the {len(paths)} pictures in {places} could be decoded; see the names above.")
    return {
        "pictures": files.num_pictures,
        "boxes": files.num_boxes,
        "skipped": len(files.skipped),
        "skipped_files": files.skipped,
        "not_drawn": files.not_drawn,
        **({"frames": frames.join()} if frames else {}),
    }


def _write(
    one: Found,
    files: PredictionFiles,
    copies: PictureCopies,
    pictures: int | None,
    more: Sequence[AnnotationFormat],
) -> None:
    try:
        one.name.encode()  # the table is in UTF-8
    except UnicodeEncodeError as error:
        files.skip(one.name, f"the table cannot name it: {error}")
        return
    number = files.num_pictures
    files.add(one)
    try:
        write_maps(one, files.output)
        for form in more:
            form.add(one)
    except Exception as error:  # whatever is wrong with one picture, the others do not pay for it
        if about_disks(error):
            raise
        files.skip(one.name, f"its maps or annotations cannot be written: {error}", "not_drawn")
        return
    if pictures is None or number < pictures:
        copies.add(one)


def _size(image_size: Sequence[int] | int | None) -> tuple[int, int]:
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if image_size is None or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            f"image_size={image_size!r} must be the height and width of the network's input, or its side. "
            "Give the size that the model was trained with."
        )
    return int(image_size[0]), int(image_size[1])


def _files(images: Sequence[Path], output: Path, unreadable: dict[str, str]) -> dict[str, Path]:
    """The pictures by the names that they have in the results: paths below the folder that holds all of them."""
    files: list[Path] = []
    for place in images:
        if place.is_dir():
            # results of an earlier call are no input
            found = files_below(place, output, lambda folder, error: unreadable.update(_unlisted(folder, error)))
            files += [path for path in found if path.suffix.lower() in SUFFIXES]
        elif place.is_file():
            files.append(place)
        else:
            raise ValueError(f"there is no folder {str(place)!r}; give a folder of pictures, or one picture.")
    if not files:
        places = ", ".join(repr(str(place)) for place in images)
        raise ValueError(f"folder {places} has no picture ({', '.join(SUFFIXES)}); give another one.")
    folders = {place if place.is_dir() else place.parent for place in images}
    root = folders.pop() if len(folders) == 1 else Path(os.path.commonpath([folder.absolute() for folder in folders]))
    files = [path if path.is_relative_to(root) else path.absolute() for path in files]
    return {path.relative_to(root).as_posix(): path for path in files}


def _unlisted(folder: Path, error: OSError) -> dict[str, str]:
    return {folder.as_posix(): f"the folder cannot be listed: {error.strerror}"}


@dataclass(frozen=True)
class _Read:
    """A picture as the network takes it."""

    path: Path
    name: str
    image: Tensor
    original_size: Tensor
    to_original: Tensor


@dataclass(frozen=True)
class _Fit:
    """How pictures are brought to the network's input."""

    size: tuple[int, int]
    mode: FitMode
    pixel_range: PixelRange | None
    channels: int


def _read(files: dict[str, Path], fit: _Fit, batch_size: int, written: PredictionFiles) -> Iterator[list[_Read]]:
    waiting = iter(files.items())
    while batch := list(islice(waiting, batch_size)):
        read = []
        for name, path in batch:
            try:
                image, original_size, to_original = read_fitted(path, fit.size, fit.mode, None, fit.pixel_range)
            except Exception as error:  # noqa: BLE001, decoders of damaged files raise anything
                written.skip(name, str(error.__cause__ or error) or type(error).__name__)
                continue
            if fit.channels == 1:
                image = rgb_to_grayscale(image)
            read.append(_Read(path, name, image, original_size, to_original))
        if read:
            yield read


@torch.inference_mode()
def _predict(predictor: Predictor, read: list[_Read], score_threshold: float) -> list[Found]:
    found = predictor.predict(torch.stack([one.image for one in read]))
    # one copy from the device for a batch, not for a picture
    predictions = {name: {key: value.cpu() for key, value in values.items()} for name, values in found.items()}
    targets = {name: target_of(predictor.tasks[name]) for name in predictions}
    results = []
    for index, one in enumerate(read):
        height, width = one.original_size.tolist()
        overlays = {
            name: targets[name].overlay(values, index, None, score_threshold).in_file(one.to_original, height, width)
            for name, values in predictions.items()
        }
        results.append(Found(one.path, one.name, height, width, overlays))
    return results


def _report(title: str, reasons: dict[str, str]) -> None:
    if not reasons:
        return
    lines = [printable(f"{name}: {reason}") for name, reason in reasons.items()]
    more = len(lines) - _MOST_NAMES
    lines = lines[:_MOST_NAMES] + ([f"and {more} more, all in predictions.json"] if more > 0 else [])
    get_console().print(f"{title}:\n  " + "\n  ".join(lines), highlight=False, markup=False, soft_wrap=True)
