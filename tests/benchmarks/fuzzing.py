"""Seeded damage to each file of a data set, through loading, one training step and a prediction.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/fuzzing.py [--cases 200] [--pictures 600] [--only KIND ...] [--json]
A case may end in two ways: everything is read and finite, or an error of at most five lines that names the file. It
prints how many cases of each kind ended how; whatever else happened is printed with its seed, and the exit code is 1.
"""

import argparse
import copy
import json
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich import get_console
from rich.console import Console
from rich.table import Table

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.batch import collate
from mtl.cli.trainer.app import Run
from mtl.config.command_line import read_command_line
from mtl.config.merge import read_config
from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.voc_folder import VOCFolder
from mtl.evaluation.predictions.predict_folder import predict_folder
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.model import MultiTaskModel
from mtl.task import Task

sys.path.append(str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.fuzzing_others import OTHERS

MOST_LINES = 5
SIDE = 32  # of the network's input, in pixels
ODD = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"<", b'"', b",", b";", b"\n", b"\r", b"[", b"}", b"&x;", b"*a",
    b"!!python/name:os", b"../", b"%00", b"\\",
)  # fmt: skip
NUMBERS = (
    b"nan", b"-1", b"1e400", b"None", b"", b"99999999999999999999", b"1,5", b"null", b"true", b'"7"', b"0x10", b"[]",
    b"Infinity", b"{}", b"1.5", b"0",
)  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One change: a cut, a doubled part, odd bytes, a flipped byte, another encoding, or another number."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.randrange(1, 40))
    kind = rng.randrange(8)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + content[end:]
    if kind == 2:
        return content[:end] + content[start:]
    if kind == 3:
        return content[:start] + rng.choice(ODD) + content[start:]
    if kind == 4:
        return content[:start] + bytes([rng.randrange(256)]) + content[start + 1 :]
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers or kind == 5:
        text = content.decode("latin-1")
        whole = (b"", b"\xef\xbb\xbf" + content, text.encode("utf-16"), text.encode("utf-16-le"), b"\n" * 9)
        return rng.choice((*whole, content.replace(b"\n", b"\r"), content.replace(b"\n", b"\r\n")))
    if kind == 6:  # two lines change places
        lines = content.split(b"\n")
        first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return b"\n".join(lines)
    one = rng.choice(numbers)
    return content[: one.start()] + rng.choice(NUMBERS) + content[one.end() :]


@cache
def network() -> MultiTaskModel:
    torch.manual_seed(0)
    backbone = ResidualFPN(width=4, pyramid_width=8)
    boxes = CenterNetHead(Task("boxes", "detection", class_names=("cat", "dog")), backbone.spec)
    light = ClassificationHead(Task("light", "classification", class_names=("day", "dusk")), backbone.spec)
    return MultiTaskModel(backbone, {"boxes": boxes, "light": light})


def step_and_predict(data: FolderDataModule) -> None:
    """Load everything, train one step on it, predict the validation pictures; nothing may be other than finite."""
    data.setup("fit")
    model = copy.deepcopy(network()).train()
    splits = [[part[index] for index in range(len(part))] for part in (data.train_set, data.val_set)]  # type: ignore
    for sample in splits[0] + splits[1]:
        assert sample["image"].shape == (3, SIDE, SIDE)
        if "boxes" in sample:
            boxes = sample["boxes"]
            assert boxes.isfinite().all()
            assert (boxes[:, 2:] >= boxes[:, :2]).all()
            assert len(boxes) == len(sample["box_labels"])
    tasks = {"light": Task("light", "classification", class_names=("day", "dusk"))} | data.tasks
    batch, later = (collate(samples, tasks, data.inputs) for samples in splits)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    loss = torch.stack(list(model.losses(model(batch), batch).values())).sum()
    assert loss.isfinite()
    loss.backward()
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    for found in model.eval().predict(later["image"]).values():
        assert all(value.isfinite().all() for value in found.values())


def predict_all(root: Path) -> None:
    """Every picture has a result, or a reason."""
    found = predict_folder(network(), root / "images", root / "out", SIDE, pictures=0)
    assert found["pictures"] + found["skipped"] == len(list((root / "images").iterdir()))


def voc(root: Path) -> None:
    tasks = {"light": {"classes": ["day", "dusk"]}}
    options: dict[str, Any] = {"labels_csv": "labels.csv", "image_tasks": tasks, "image_size": (SIDE, SIDE)}
    step_and_predict(VOCFolder(str(root), ["cat", "dog"], **options))


def voc_and_folder(root: Path) -> None:
    predict_all(root)
    voc(root)


def coco(root: Path) -> None:
    step_and_predict(COCOFolder(str(root), ["cat", "dog"], image_size=(SIDE, SIDE)))


RUN = """\
data:
  class_path: VOCFolder
  init_args: {root: ROOT, box_classes: [cat, dog], image_size: [32, 32], batch_size: 2, num_workers: 0}
model:
  backbone: {class_path: ResidualFPN, init_args: {width: 4, pyramid_width: 8}}
  heads:
    boxes: {class_path: CenterNetHead, init_args: {level: p2}}
  loss_weights: {boxes: 1.0}
  optim:
    optimizer: {class_path: AdamW, init_args: {lr: 1e-3, weight_decay: 0.1}}
    schedule: cosine
    warmup_steps: 2
trainer: {max_epochs: 3, gradient_clip_val: 1.0, log_every_n_steps: 5, num_sanity_val_steps: 0}
checkpoint: {monitor: val/score, mode: max}
seed_everything: 7
"""
FLAGS = {
    "trainer.max_steps": "1", "trainer.accelerator": "cpu", "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false", "tracking.wandb": "off", "test_after_fit": "false",
}  # fmt: skip


def read(root: Path) -> None:
    read_config([root / "fuzzed.yaml"])


def config(root: Path) -> None:
    """The command line, from the config to the end of one step and a validation."""
    words = ["--config", str(root / "fuzzed.yaml"), "--runs_root", str(root / "runs"), "--name", "one"]
    words += [word for name, value in FLAGS.items() for word in (f"--{name}", value)]
    shutil.rmtree(root / "runs", ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Run(read_command_line("fit", words), ["fit", *words]).start()
    assert list((root / "runs").glob("*/one/checkpoints/last.ckpt"))


@dataclass
class Kind:
    """A file to damage, and what reads it."""

    file: str
    run: Callable[[Path], None]
    pictures: bool = False
    slow: bool = False  # a whole run a case
    make: Callable[[Path], None] | None = None  # what fills an empty folder; VOC and COCO together by default


KINDS = {
    "VOC XML": Kind("annotations/train1.xml", voc),
    "COCO JSON": Kind("annotations.json", coco),
    "CSV": Kind("labels.csv", voc),
    "split": Kind("splits/train.txt", voc),
    "YAML (read only)": Kind("fuzzed.yaml", read),
    "YAML, run": Kind("fuzzed.yaml", config, slow=True),
    "PNG": Kind("images/train2.png", voc_and_folder, True),
    "JPEG": Kind("images/train2.jpg", voc_and_folder, True),
    "TIFF": Kind("images/train2.tif", voc_and_folder, True),
    "GIF": Kind("images/train2.gif", voc_and_folder, True),
    "WebP": Kind("images/train2.webp", voc_and_folder, True),
    **{name: Kind(file, run, binary, make=make) for name, (file, make, run, binary) in OTHERS.items()},
}


@dataclass
class Outcome:
    """What the cases of one kind ended in."""

    right: int = 0
    refused: int = 0
    others: list[str] = field(default_factory=list)


def make_root(folder: Path, kind: Kind) -> Path:
    """A small data set in a new folder."""
    made, other = folder / "made", folder / "other"
    for place in (made, other):
        place.mkdir()
    if kind.make is not None:
        kind.make(made)
        return made
    VOCFolder.example_args(made)
    COCOFolder.example_args(other)
    (other / "annotations.json").rename(made / "annotations.json")
    (made / "fuzzed.yaml").write_text(RUN.replace("ROOT", str(made)))
    suffix = Path(kind.file).suffix
    if kind.pictures and suffix != ".png":
        with Image.open(made / "images/train2.png") as image:
            image.save(made / kind.file)
        (made / "images/train2.png").unlink()
    return made


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def fuzz(folder: Path, kind: Kind, cases: int, first: int = 0) -> Outcome:
    """Run seeded cases of one kind in an empty folder."""
    root, found = make_root(folder, kind), Outcome()
    path = root / kind.file
    whole = path.read_bytes()
    with own_cache(folder / "cache"):
        for seed in range(first, first + cases):
            path.write_bytes(mutate(whole, random.Random(f"{kind.file} {seed}")))
            try:
                kind.run(root)
            except ValueError as error:
                text = str(error)
                if text.count("\n") >= MOST_LINES or not re.search(rf"{path.stem}\b", f"{text} {vars(error)}"):
                    found.others.append(f"{seed}: says {text[:200]!r}")
                else:
                    found.refused += 1
            except Exception as error:  # noqa: BLE001, the fault that is looked for
                found.others.append(f"{seed}: {type(error).__name__}: {str(error)[:200]}")
            else:
                found.right += 1
        path.write_bytes(whole)
        kind.run(root)  # the harness itself breaks nothing
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="of each kind of text file")
    parser.add_argument("--pictures", type=int, default=600, help="of each kind of picture")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), help="some of the kinds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # findings of damaged data
    get_console().quiet = True
    rows: list[dict[str, Any]] = []
    table = Table("file", "mutated cases", "right", "refused by name", "others", "CPU s", box=None)
    for name in options.only or KINDS:
        cases = options.pictures if KINDS[name].pictures else options.cases
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = fuzz(Path(folder), KINDS[name], cases)
        seconds = round(time.process_time() - start, 1)
        rows.append({"file": name, "cases": cases, **vars(found), "cpu_s": seconds})
        table.add_row(name, str(cases), *map(str, (found.right, found.refused, len(found.others), seconds)))
        print(*(f"{name} {other}" for other in found.others), sep="\n", end="\n" if found.others else "", flush=True)
        print(f"{name}: {cases} cases in {seconds} CPU s", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(rows))
    else:
        Console(width=120).print(table)
    return int(any(row["others"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
