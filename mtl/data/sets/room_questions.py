"""`RoomQuestions`: a picture of a room and a sentence that asks about the things in it; nothing is downloaded.

Shapes: N scenes, K object slots, S surfaces.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.module import JointDataModule
from mtl.data.rooms.layout import ROOMS, SHAPES, Rooms, random_rooms
from mtl.data.rooms.questions import ANSWERS, COLOURS, WORDS, Thing, choose
from mtl.data.rooms.rendering import render
from mtl.data.sets.room_scenes import visible_boxes
from mtl.errors import check_least
from mtl.inputs.input import input_kind
from mtl.inputs.tokens import SPECIAL
from mtl.task import Inputs, InputSpec, Task

TASKS = {
    "answer": Task("answer", "classification", class_names=ANSWERS),
    "found": Task("found", "detection", class_names=("thing",)),
    "room": Task("room", "classification", class_names=ROOMS),
}
_SPLITS = ("train", "val", "test")


class RoomQuestions(JointDataModule):
    """Tasks: `answer` and `found` (both inputs are needed), `room` (the picture shows it). Inputs: `image`, `words`.

    A sentence asks whether there is a thing of some colour, shape or both, how many there are, or where the only one
    is: `answer` is no, yes, 0 to 3, left or right. `found` has the boxes of the things that the sentence is about; none
    if there are none. Each question has its answers about equally often, and the forms of questions share no answers.
    On the default test set the most frequent answer of each question is right in .422, the most frequent of all in
    .223. What is asked depends on what a room holds, so the sentence gives a hint of `room`.

    Args:
        num_train: number of training scenes.
        num_val: number of validation scenes.
        num_test: number of test scenes.
        image_size: width and height of a picture in pixels.
        max_objects: maximum number of objects per room.
        min_visible_px: nothing is asked about an object of which fewer pixels are visible, but at least one.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        batch_size: scenes per training step and process.
        eval_batch_size: scenes per validation and test step.
        num_workers: loader processes; the scenes are in memory, so 0 is best.
        seed: seed of the scenes, of the questions and of their order.

    Raises:
        ValueError: for a number that is too small.
    """

    def __init__(
        self,
        num_train: int = 4000,
        num_val: int = 300,
        num_test: int = 600,
        image_size: int = 64,
        max_objects: int = 6,
        min_visible_px: int = 12,
        noise: float = 0.03,
        batch_size: int = 32,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed)
        check_least(1, num_train=num_train, num_val=num_val, num_test=num_test)
        check_least(1, max_objects=max_objects, min_visible_px=min_visible_px)
        check_least(16, image_size=image_size)
        check_least(0, noise=noise)
        self.counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
        self.inputs = self.declare_inputs()
        self.options = {
            "image_size": image_size,
            "max_objects": max_objects,
            "min_visible_px": min_visible_px,
            "noise": noise,
        }

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return dict(TASKS)

    @classmethod
    def declare_inputs(cls, **_: Any) -> Inputs:
        return {
            "image": InputSpec("image", "image", channels=3),
            "words": InputSpec("words", "tokens", names=(*SPECIAL, *WORDS)),
        }

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"num_train": 6, "num_val": 3, "num_test": 3, "image_size": 32}

    def setup(self, stage: str) -> None:
        # once: `fit` followed by `test` calls `setup` twice
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                rng = np.random.default_rng([self.seed, _SPLITS.index(split)])
                setattr(self, f"{split}_set", QuestionSet(self.counts[split], self.inputs, rng, **self.options))


class QuestionSet(Dataset[Sample]):
    """The scenes and questions of one split, made at once and kept in memory.

    Args:
        num_scenes: number of scenes.
        inputs: what the data module declares.
        rng: random numbers.
        options: `image_size` and the other settings of `RoomQuestions`.
    """

    def __init__(self, num_scenes: int, inputs: Inputs, rng: np.random.Generator, **options: Any) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        rooms, colours_NK = painted(random_rooms(num_scenes, options["max_objects"], generator), generator)
        views = render(rooms, options["image_size"], options["noise"], generator)
        self.images, self.kinds = views.image, rooms.kind
        self.things = things_of(rooms, colours_NK, views.instances, options["min_visible_px"])
        self.asked = choose(self.things, options["image_size"], rng)
        self.sentences = [question.words(int(rng.integers(2))) for question, _ in self.asked]
        read = input_kind(inputs["words"]).reader(inputs["words"])
        self.tokens = [read(words) for words in self.sentences]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        size, (question, answer) = self.images.shape[-1], self.asked[index]
        boxes = [thing.box for thing in self.things[index] if question.is_about(thing)]
        boxes_M4 = torch.tensor(boxes).view(-1, 4)
        return {
            "image": tv_tensors.Image(self.images[index]),
            "words": self.tokens[index],
            "answer": ANSWERS.index(answer),
            "found": tv_tensors.BoundingBoxes(boxes_M4, format="XYXY", canvas_size=(size, size)),
            TASKS["found"].labels_field: torch.zeros(len(boxes), dtype=torch.int64),
            "room": int(self.kinds[index]),
            "image_id": index,
            "orig_size": torch.tensor([size, size]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }

    def text(self, index: int) -> str:
        """The question and its answer, as people read them.

        Args:
            index: which scene.
        """
        return f"{' '.join(self.sentences[index])}: {self.asked[index][1]}"


def painted(rooms: Rooms, generator: torch.Generator) -> tuple[Rooms, Tensor]:
    """The rooms with every object in a colour that has a name, and which colour it is, [N,K].

    Args:
        rooms: the rooms.
        generator: random numbers.
    """
    count, slots = rooms.shape.shape
    # a room prefers some colours, so that several things of one colour are not rare
    liking_NC = torch.rand(count, len(COLOURS), generator=generator).square() + 0.02
    colour_NK = torch.multinomial(liking_NC, slots, replacement=True, generator=generator)
    named_NK3 = torch.tensor(list(COLOURS.values()))[colour_NK]
    named_NK3 = (named_NK3 + 0.06 * torch.randn(named_NK3.shape, generator=generator)).clamp(0.05, 1)
    colours_NS23 = rooms.colours.clone()
    # the second colour of the pattern is a darker shade
    colours_NS23[:, :slots] = torch.stack((named_NK3, 0.65 * named_NK3), 2)
    return replace(rooms, colours=colours_NS23), colour_NK


def things_of(rooms: Rooms, colour_NK: Tensor, instances_NHW: Tensor, min_visible_px: int) -> list[list[Thing]]:
    """The objects of each scene of which at least one pixel is visible.

    Args:
        rooms: the rooms.
        colour_NK: index in `COLOURS` of every object.
        instances_NHW: slot of the object plus one, 0 for none.
        min_visible_px: fewest pixels of an object that is clear.
    """
    slots, names = colour_NK.shape[1], list(COLOURS)
    boxes_NK4, seen_NK = visible_boxes(instances_NHW, slots, 1)
    clear_NK = visible_boxes(instances_NHW, slots, min_visible_px)[1]
    rows: Mapping[str, list[Any]] = {
        "shape": rooms.shape.tolist(),
        "colour": colour_NK.tolist(),
        "box": boxes_NK4.tolist(),
        "seen": seen_NK.tolist(),
        "clear": clear_NK.tolist(),
    }
    return [
        [
            Thing(SHAPES[shape], names[colour], tuple(box), clear)
            for shape, colour, box, seen, clear in zip(*scene, strict=True)
            if seen
        ]
        for scene in zip(*rows.values(), strict=True)
    ]
