"""Training batches as the network sees them, augmented, with all targets drawn: to look at before training.

Shapes: B samples of a batch.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.config.foreign_files import own_folder
from mtl.config.yaml_lines import ConfigError
from mtl.data.module import JointDataModule
from mtl.drawing.grid import draw_grid
from mtl.drawing.sample import Picture, as_rgb, text_of
from mtl.inputs.image import image_of
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import target_of
from mtl.task import Task

_NOT_ANNOTATED, _OR_CROPPED = "not annotated", "not annotated, or lost in the crop"


def show_batches(data: JointDataModule, folder: Path, num_batches: int = 2, num_samples: int = 16) -> list[Path]:
    """Draw the first training batches, one PNG each.

    Args:
        data: the data module, before or after `setup`.
        folder: where to; made if it is missing.
        num_batches: how many batches.
        num_samples: most samples of each.

    Returns:
        The files.

    Raises:
        UnsafeFile: if what is written would land elsewhere.
        ValueError: if a number is below 1, or the samples hold no picture.
    """
    if min(num_batches, num_samples) < 1:
        raise ConfigError(f"num_batches={num_batches} and num_samples={num_samples} must be at least 1.")
    own_folder(folder)
    files = []
    for number, pictures in enumerate(islice(target_pictures(data, num_samples), num_batches), 1):
        files.append(folder / f"batch-{number}.png")
        draw_grid(pictures, data.tasks, files[-1], only_true=True)
    return files


def target_pictures(data: JointDataModule, num_samples: int) -> Iterator[list[Picture]]:
    """The samples of every training batch with their targets.

    Args:
        data: the data module.
        num_samples: most samples of a batch.

    Raises:
        ValueError: if the samples hold no picture.
    """
    image = image_of(data.inputs)
    if image is None:
        kinds = ", ".join(f"{name} ({spec.kind})" for name, spec in data.inputs.items())
        raise ValueError(f"the samples have no picture to draw on; their inputs are {kinds}. `show` takes pictures.")
    data.setup("fit")
    for batch in data.train_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)  # colours change there
        # an augmentation that cuts a box off leaves out the answers for the whole picture (`lost_box`)
        absent = _NOT_ANNOTATED if data.augment is None else _OR_CROPPED
        yield [picture_of(data, batch, index, image, absent) for index in range(min(num_samples, len(batch[image])))]


def picture_of(data: JointDataModule, batch: Batch, index: int, image: str, absent: str = _NOT_ANNOTATED) -> Picture:
    """A sample of a batch with its targets in the place of predictions.

    Args:
        data: the data module.
        batch: the batch.
        index: which sample.
        image: batch key of the pictures.
        absent: what stands in the place of a target that the sample does not have.
    """
    overlays = {name: _target(task, batch, index, len(batch[image]), absent) for name, task in data.tasks.items()}
    return Picture(as_rgb(batch[image][index]), overlays, text_of(data.inputs, batch, index))


def _target(task: Task, batch: Batch, index: int, count: int, absent: str) -> Overlay:
    """The annotation in the place of a prediction."""
    if not bool(labelled(batch, task)[index]):
        return Overlay(answer=Answer(absent))
    # `perfect` needs a batch in which every sample is labelled
    sample = {k: v[index : index + 1] for k, v in batch.items() if isinstance(v, Tensor) and len(v.shape or ()) > 0}
    sample = {k: v for k, v in sample.items() if len(batch[k]) == count}
    target = target_of(task)
    shown = target.overlay(target.perfect(sample), 0, sample)
    return replace(shown, predicted=shown.predicted if shown.true is None else shown.true, true=None)
