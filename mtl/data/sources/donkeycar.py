"""Donkeycar: camera frames of a model car on an indoor track, with what its driver did."""

import json
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.archive import unpack
from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, split_of, write_rows, write_splits

_COMMIT = ("autorope/donkeycar", "cde8bbe9e82d81819eab9bfb3c034b201be57268")
_BLOCKS = {"train": (0, 700), "val": (710, 820), "test": (830, 1000)}  # frames between blocks are left out
_STRAIGHT = 0.15
_AHEAD = 10  # frames
_CATALOG = "catalog.jsonl"


class Donkeycar(Source):
    """1000 frames of a model car on an indoor track: steering angle, throttle and the kind of turn.

    Splits are blocks of time with gaps of 10 frames. `turn` is left below an angle of -0.15 and right above 0.15;
    `angle_in_10` is the angle ten frames later in the same block.
    """

    name = "donkeycar_tub"
    licence = "MIT"
    cite = "github.com/autorope/donkeycar"
    max_bytes = 10_000_000
    files = (
        Files(
            *_COMMIT,
            "donkeycar/tests/tub/tub.tar.gz",
            "tub.tar.gz",
            "eeff6616aea3ce8ef41a53dc7e8cf5b5e36bce34587219f71e1b211d783a1985",
        ),
        Files(
            *_COMMIT,
            "LICENSE",
            "LICENSE.txt",
            "b216078a073fba33801e1556e8fa359953a08186ad27eeba6110244448b1a2a4",
        ),
    )
    counts: ClassVar[dict[str, int]] = {"frames": 1000, "train": 700, "val": 110, "test": 170}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "LICENSE.txt").rename(to / "LICENSE.txt")
        unpack(raw / "tub.tar.gz", _target, to, self.max_bytes, 1001)
        with (to / _CATALOG).open(encoding="utf-8") as file:
            records = sorted(map(json.loads, file), key=lambda record: int(record["_index"]))
        (to / _CATALOG).unlink()
        splits = {split: [f"{i:04d}.jpg" for i in range(*block)] for split, block in _BLOCKS.items()}
        known = split_of(splits)
        rows = []
        for index, record in enumerate(records):
            angle, split = float(record["user/angle"]), known.get(f"{index:04d}.jpg", "")
            ahead = known.get(f"{index + _AHEAD:04d}.jpg") == split != ""
            row: dict[str, object] = {"image": f"{index:04d}.jpg", "split": split, "angle": f"{angle:.4f}"}
            row["throttle"] = f"{float(record['user/throttle']):.4f}"
            row["turn"] = "left" if angle < -_STRAIGHT else "right" if angle > _STRAIGHT else "straight"
            row["angle_in_10"] = f"{float(records[index + _AHEAD]['user/angle']):.4f}" if ahead else ""
            rows.append(row)
        write_splits(to, splits)
        write_rows(to / "image_labels.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        return {"frames": sum(1 for _ in (folder / "images").iterdir()), **count_splits(folder)}


def _target(name: str) -> str | None:
    if name == "tub/catalog_0.catalog":
        return _CATALOG
    index, _, rest = name.removeprefix("tub/images/").partition("_cam_image_array_")
    return f"images/{int(index):04d}.jpg" if rest == ".jpg" and index.isdecimal() else None
