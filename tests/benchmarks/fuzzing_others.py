"""More files for `fuzzing.py`: each with what makes a small data set around it, and what reads it.

`OTHERS`: name -> the file, what makes the folder, what reads everything, whether the file is binary.
"""

import csv
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mtl.backbones.audio.convolutions import AudioConvolutions
from mtl.backbones.text.bilstm import BiLSTM
from mtl.batch import collate
from mtl.data.arrays.array_files import ArrayField, ArrayFiles, read_classes, read_positive, read_vectors
from mtl.data.folder.picture_folder import PictureFolder
from mtl.data.folder.yolo_folder import YOLOFolder
from mtl.data.module import JointDataModule
from mtl.data.sets.intent_slots import IntentSlots
from mtl.data.sets.spoken_digits import SpokenDigits
from mtl.data.table.csv_table import CsvTable
from mtl.evaluation.predictions.predict_audio import predict_audio
from mtl.evaluation.predictions.predict_text import predict_text
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import Inputs, InputSpec, Task

SIDE = 32
ARRAYS = {
    "labels": (Task("labels", "segmentation", 3), ArrayField("label", read_classes)),
    "depth": (Task("depth", "depth"), ArrayField("depth", read_positive)),
    "normals": (Task("normals", "normals"), ArrayField("normal", read_vectors)),
}


def read_all(data: JointDataModule) -> None:
    """Every sample of every split in a batch; the inputs are finite."""
    for stage in ("fit", "test"):
        data.setup(stage)
    for split in ("train", "val", "test"):
        part: Any = getattr(data, f"{split}_set")
        batch = collate([part[index] for index in range(len(part))], data.tasks, data.inputs)
        for name in data.inputs:
            assert torch.as_tensor(batch[name]).isfinite().all() or isinstance(data, CsvTable)


def make_masks(root: Path) -> None:
    PictureFolder.example_args(root)
    (root / "masks").mkdir()
    for number, path in enumerate(sorted((root / "images").iterdir())):
        with Image.open(path) as picture:
            values = np.arange(picture.width * picture.height).reshape(picture.height, picture.width) + number
        Image.fromarray((values % 3).astype(np.uint8)).save(root / "masks" / f"{path.stem}.png")


def masks(root: Path) -> None:
    maps: Any = {"parts": {"folder": "masks", "classes": ["sky", "road", "tree"]}}
    arguments = {name: value for name, value in _of(PictureFolder, root).items() if name != "box_classes"}
    read_all(PictureFolder(**arguments, map_tasks=maps))


def make_arrays(root: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}
    for folder, shape in shapes.items():
        (root / folder).mkdir()
        for number in range(2):
            values = rng.integers(0, 3, shape) if folder == "label" else rng.random(shape)
            np.save(root / folder / f"{number}.npy", values.astype(np.float32))


def arrays(root: Path) -> None:
    tasks = {name: task for name, (task, _) in ARRAYS.items()}
    files = ArrayFiles(root, {name: field for name, (_, field) in ARRAYS.items()}, tasks)
    batch = collate([files[index] for index in range(len(files))], tasks)
    assert batch["image"].shape[:2] == (2, 3)


def audio(root: Path) -> None:
    read_all(SpokenDigits(root=str(root)))


def heard(root: Path) -> None:
    found = predict_audio(listener(), root / "recordings", root / "out")
    assert found["recordings"] + found["skipped"] == 12
    audio(root)


def text(root: Path) -> None:
    (root / "vocab.json").unlink(missing_ok=True)  # of the texts before the damage
    read_all(IntentSlots(root=str(root)))


def sentences(root: Path) -> None:
    found = predict_text(reader(), root / "valid" / "seq.in", root / "out")
    with (root / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == found["sentences"]


def table(root: Path) -> None:
    arguments = CsvTable.example_args(root / "arguments")
    read_all(CsvTable(**{**arguments, "path": str(root / "table.csv")}))


def make_table(root: Path) -> None:
    CsvTable.example_args(root)
    (root / "arguments").mkdir()


def yolo(root: Path) -> None:
    read_all(YOLOFolder(**{**_of(YOLOFolder, root), "images": "images"}))


def yolo_by_its_names(root: Path) -> None:
    arguments: Any = {"root": str(root), "images": "images", "image_size": (SIDE, SIDE)}
    read_all(YOLOFolder(**{**arguments, **YOLOFolder.read_arguments(**arguments)}))


@cache
def listener() -> MultiTaskModel:
    inputs = dict(SpokenDigits.declare_inputs())
    return _classifier(AudioConvolutions(inputs, 8, 2, 1), inputs)


@cache
def reader() -> MultiTaskModel:
    inputs = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "flights", "to"))}
    return _classifier(BiLSTM(inputs, embedding=4, hidden=4), inputs)


def _classifier(backbone: Any, inputs: Inputs) -> MultiTaskModel:
    head = ClassificationHead(Task("kind", "classification", class_names=("a", "b")), backbone.spec)
    return MultiTaskModel(backbone, {"kind": head}, {name: input_kind(spec)(spec) for name, spec in inputs.items()})


def _of(cls: Any, root: Path) -> dict[str, Any]:
    return {**cls.arguments_of_example(root), "image_size": (SIDE, SIDE)}


def _example(cls: Any) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cls.example_args(root)

    return make


OTHERS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], None], bool]] = {
    "YOLO txt": ("labels/train1.txt", _example(YOLOFolder), yolo, False),
    "YOLO data.yaml": ("data.yaml", _example(YOLOFolder), yolo_by_its_names, False),
    "mask PNG": ("masks/train1.png", make_masks, masks, True),
    "NumPy labels": ("label/1.npy", make_arrays, arrays, True),
    "NumPy depth": ("depth/1.npy", make_arrays, arrays, True),
    "WAV": ("recordings/r1.wav", _example(SpokenDigits), heard, True),
    "CSV of recordings": ("recordings.csv", _example(SpokenDigits), audio, False),
    "sentences": ("train/seq.in", _example(IntentSlots), text, False),
    "tags": ("train/seq.out", _example(IntentSlots), text, False),
    "sentences to predict": ("valid/seq.in", _example(IntentSlots), sentences, False),
    "table": ("table.csv", make_table, table, False),
}
