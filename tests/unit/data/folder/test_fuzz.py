"""Seeded damage to every file of a data set: it loads and its samples are valid, or a short error names the file.

Whether a mutation is harmless is not known, so a case that loads must give finite boxes inside the picture.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl.config.merge import read_config
from mtl.data.folder.coco_folder import COCOFolder
from mtl.data.folder.voc_folder import VOCFolder

MOST_LINES = 5
CASES, MANY = 60, 600  # of each kind
ODD = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe9",
    b"<",
    b'"',
    b",",
    b"\n",
    b"[",
    b"}",
    b"&x;",
    b"*a",
    b"!!python/name:os",
)
NUMBERS = (
    b"nan",
    b"-1",
    b"1e400",
    b"None",
    b"",
    b"99999999999999999999",
    b"1,5",
    b"null",
    b"true",
    b'"7"',
    b"0x10",
    b"[]",
)


def mutate(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.randrange(1, 40))
    kind = rng.randrange(7)
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
        return rng.choice((b"", b"\xef\xbb\xbf" + content, content.decode("latin-1").encode("utf-16"), b"\n" * 9))
    one = rng.choice(numbers)
    return content[: one.start()] + rng.choice(NUMBERS) + content[one.end() :]


def voc(root: Path) -> Any:
    tasks = {"n": {"kind": "regression"}}
    options: dict[str, Any] = {"labels_csv": "labels.csv", "image_tasks": tasks, "image_size": (30, 40)}
    return VOCFolder(str(root), ["cat", "dog"], **options)


def coco(root: Path) -> Any:
    annotations = {"train": "train.json", "val": "val.json"}
    return COCOFolder(str(root), ["cat", "dog"], annotations=annotations, image_size=(30, 40))


def load(make: Callable[[Path], Any], root: Path) -> None:
    data = make(root)
    data.setup("fit")
    for split in (data.train_set, data.val_set):
        for index in range(len(split)):
            sample = split[index]
            assert sample["image"].shape == (3, 30, 40)
            if "boxes" in sample:
                boxes = sample["boxes"]
                assert boxes.isfinite().all()
                assert (boxes[:, 2:] >= boxes[:, :2]).all()
                assert len(boxes) == len(sample["box_labels"])


@pytest.fixture
def root(voc_root: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(voc_root / "cache"))
    write.csv(voc_root / "labels.csv", [{"image": f"p{i}", "n": i} for i in range(6)])
    for split, numbers in (("train", range(4)), ("val", (4,))):
        boxes = {f"p{i}.png": [("cat", 1.0, 2.0, 10.0, 10.0), ("dog", 5.0, 5.0, 20.0, 20.0)] for i in numbers}
        write.coco(voc_root / f"{split}.json", boxes)
    (voc_root / "run.yaml").write_text(
        "data:\n  class_path: VOCFolder\n  init_args: {root: data, box_classes: [cat, dog]}\nseed: 1\n"
    )
    return voc_root


def faults(root: Path, file: str, run: Callable[[Path], None], cases: int) -> list[str]:
    """The cases with another outcome than the two that are right."""
    path, found = root / file, []
    whole = path.read_bytes()
    for seed in range(cases):
        path.write_bytes(mutate(whole, random.Random(f"{file} {seed}")))
        try:
            run(root)
        except ValueError as error:
            text = str(error)
            if text.count("\n") >= MOST_LINES or not re.search(rf"{path.stem}\b", f"{text} {vars(error)}"):
                found.append(f"{seed}: says {text[:200]!r}")
        except Exception as error:  # noqa: BLE001, the fault that is looked for
            found.append(f"{seed}: {type(error).__name__}: {str(error)[:200]}")
    path.write_bytes(whole)
    run(root)  # the harness itself breaks nothing
    return found


RUNS: dict[str, Callable[[Path], None]] = {
    "annotations/p1.xml": lambda root: load(voc, root),
    "labels.csv": lambda root: load(voc, root),
    "splits/train.txt": lambda root: load(voc, root),
    "images/p2.png": lambda root: load(voc, root),
    "train.json": lambda root: load(coco, root),
    "run.yaml": lambda root: (read_config([root / "run.yaml"]), None)[1],
}


@pytest.mark.parametrize("file", RUNS)
def test_damaged_files_load_right_or_are_named(root: Path, file: str) -> None:
    assert faults(root, file, RUNS[file], CASES) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", RUNS)
def test_many_damaged_files_load_right_or_are_named(root: Path, file: str) -> None:
    assert faults(root, file, RUNS[file], MANY) == []
