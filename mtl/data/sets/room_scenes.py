"""`RoomScenes`: ray-cast rooms with exact depth, normals, masks, edges and boxes; dense tasks without a download.

Shapes: N scenes, K object slots, H x W pixels.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.augment.augment import Augment
from mtl.data.module import JointDataModule
from mtl.data.rooms.layout import ROOMS, SHAPES, random_rooms
from mtl.data.rooms.rendering import CLASSES, Views, render
from mtl.errors import check_least, did_you_mean
from mtl.task import Task

RoomTask = Literal["segmentation", "depth", "normals", "edges", "boxes", "room", "count"]

TASKS = {
    "segmentation": Task("segmentation", "segmentation", class_names=CLASSES),
    "depth": Task("depth", "depth"),
    "normals": Task("normals", "normals"),
    "edges": Task("edges", "edges"),
    "boxes": Task("boxes", "detection", class_names=SHAPES),
    "room": Task("room", "classification", class_names=ROOMS),
    "count": Task("count", "regression"),
}
_SPLITS = ("train", "val", "test")


class RoomScenes(JointDataModule):
    """Pictures of rooms with boxes, balls and columns; each task has exact labels.

    Args:
        room_tasks: tasks of the samples: `segmentation` (6 classes), `depth` (metres along the camera's axis),
            `normals`, `edges` (of objects and of walls, floor, ceiling), `boxes` (of the visible part), `room` (4
            kinds, which differ in the shapes they hold and, mostly, in their floors), `count` (of boxes). All but
            `edges` and `count` by default.
        labelled: share of the training scenes that carry labels of a task, 0 to 1, by its name; 1 where none is given.
            A smaller share is a part of a larger one.
        num_train: number of training scenes.
        num_val: number of validation scenes.
        num_test: number of test scenes.
        image_size: width and height of a picture in pixels.
        max_objects: maximum number of objects per room.
        min_visible_px: an object with fewer visible pixels has no box and is not counted.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        batch_size: scenes per training step and process.
        eval_batch_size: scenes per validation and test step.
        num_workers: loader processes; the scenes are in memory, so 0 is best.
        seed: seed of the scenes, of their order and of augmentation.
        augment: augmentation of training scenes.

    Raises:
        ValueError: for a share outside 0..1 or of no task, or a number below 1.
    """

    def __init__(
        self,
        room_tasks: list[RoomTask] | None = None,
        labelled: dict[str, float] | None = None,
        num_train: int = 3000,
        num_val: int = 300,
        num_test: int = 500,
        image_size: int = 96,
        max_objects: int = 6,
        min_visible_px: int = 16,
        noise: float = 0.03,
        batch_size: int = 16,
        eval_batch_size: int | None = 50,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(self.declare_tasks(room_tasks), batch_size, eval_batch_size, num_workers, seed, augment)
        check_least(1, num_train=num_train, num_val=num_val, num_test=num_test)
        check_least(1, max_objects=max_objects, min_visible_px=min_visible_px)
        check_least(16, image_size=image_size)
        check_least(0, noise=noise)
        for name, share in (labelled or {}).items():
            if name not in self.tasks:
                raise ValueError(
                    f"labelled: there is no task {name!r}; room_tasks are {', '.join(self.tasks)}."
                    f"{did_you_mean(name, self.tasks)}"
                )
            if not 0 <= share <= 1:
                raise ValueError(f"labelled: {name}={share} is a share of the scenes and must be within 0..1.")
        self.counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
        self.labelled = dict(labelled or {})
        self.options = {
            "image_size": image_size,
            "max_objects": max_objects,
            "min_visible_px": min_visible_px,
            "noise": noise,
        }

    @classmethod
    def declare_tasks(cls, room_tasks: list[RoomTask] | None = None, **_: Any) -> dict[str, Task]:
        names = room_tasks or ["segmentation", "depth", "normals", "boxes", "room"]
        return {name: TASKS[name] for name in names}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"num_train": 6, "num_val": 3, "num_test": 3, "image_size": 32, "labelled": {"depth": 0.5}}

    def setup(self, stage: str) -> None:
        # once: `fit` followed by `test` calls `setup` twice
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                labelled = self.labelled if split == "train" else {}
                rooms = RoomSet(split, self.counts[split], self.seed, list(self.tasks), labelled, **self.options)
                setattr(self, f"{split}_set", rooms)


class RoomSet(Dataset[Sample]):
    """The scenes of one split, rendered at once and kept in memory.

    Args:
        split: `train`, `val` or `test`.
        num_scenes: number of scenes.
        seed: random seed; each split draws different numbers from it.
        tasks: the tasks whose targets a sample has.
        labelled: share of the scenes that carry labels of a task, by its name.
        options: `image_size` and the other settings of `RoomScenes`.
    """

    def __init__(
        self, split: str, num_scenes: int, seed: int, tasks: list[str], labelled: Mapping[str, float], **options: Any
    ) -> None:
        rng = np.random.default_rng([seed, _SPLITS.index(split)])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.rooms = random_rooms(num_scenes, options["max_objects"], generator)
        self.views = render(self.rooms, options["image_size"], options["noise"], generator)
        self.boxes, self.visible = visible_boxes(
            self.views.instances, options["max_objects"], options["min_visible_px"]
        )
        order = rng.permutation(num_scenes)
        # task -> which scenes carry its labels; nested, so that curves over the number of labels compare
        self.tasks = {name: np.argsort(order) < round(labelled.get(name, 1.0) * num_scenes) for name in tasks}

    def __len__(self) -> int:
        return len(self.rooms)

    def __getitem__(self, index: int) -> Sample:
        size = self.views.image.shape[-1]
        sample: Sample = {
            "image": tv_tensors.Image(self.views.image[index]),
            "image_id": index,
            "orig_size": torch.tensor([size, size]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }
        for name, known in self.tasks.items():
            if known[index]:
                sample |= self._boxes(index) if name == "boxes" else {name: _VALUES[name](self, index)}
        return sample

    def _boxes(self, index: int) -> Sample:
        size, seen = self.views.image.shape[-1], self.visible[index]
        boxes = tv_tensors.BoundingBoxes(self.boxes[index, seen], format="XYXY", canvas_size=(size, size))
        return {"boxes": boxes, "box_labels": self.rooms.shape[index, seen]}


_VALUES: dict[str, Callable[[RoomSet, int], Any]] = {
    "segmentation": lambda rooms, index: tv_tensors.Mask(rooms.views.classes[index].long()),
    "depth": lambda rooms, index: tv_tensors.Mask(rooms.views.depth[index]),
    "normals": lambda rooms, index: tv_tensors.Mask(rooms.views.normals[index].float()),
    "edges": lambda rooms, index: tv_tensors.Mask(edges_of(rooms.views, index)),
    "room": lambda rooms, index: int(rooms.rooms.kind[index]),
    "count": lambda rooms, index: float(rooms.visible[index].sum()),
}


def visible_boxes(instances_NHW: Tensor, max_objects: int, min_visible_px: int) -> tuple[Tensor, Tensor]:
    """Boxes around the visible pixels of every object.

    Args:
        instances_NHW: slot of the object plus one, 0 for none.
        max_objects: K.
        min_visible_px: fewest pixels of an object that counts.

    Returns:
        Boxes xyxy [N,K,4], and which objects count, bool [N,K].
    """
    boxes, visible = [], []
    for slot in range(max_objects):
        mask_NHW = instances_NHW == slot + 1
        visible.append(mask_NHW.flatten(1).sum(1) >= min_visible_px)
        edges = []
        for line in (mask_NHW.any(1).byte(), mask_NHW.any(2).byte()):  # over columns, over rows
            edges += [line.argmax(1), line.shape[1] - line.flip(1).argmax(1)]
        boxes.append(torch.stack([edges[at] for at in (0, 2, 1, 3)], 1).float())
    return torch.stack(boxes, 1), torch.stack(visible, 1)


def edges_of(views: Views, index: int) -> Tensor:
    """1 in pixels whose right or lower neighbour shows another object, or another of wall, floor and ceiling, [H,W].

    Args:
        views: what the cameras see.
        index: the scene.
    """
    classes_HW, instances_HW = views.classes[index], views.instances[index]
    thing_HW = torch.where(instances_HW > 0, len(CLASSES) + instances_HW, classes_HW)
    edges_HW = torch.zeros(thing_HW.shape)
    edges_HW[:, :-1][thing_HW[:, :-1] != thing_HW[:, 1:]] = 1
    edges_HW[:-1][thing_HW[:-1] != thing_HW[1:]] = 1
    return edges_HW
