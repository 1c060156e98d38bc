"""BCCD: photographs of blood cells with boxes, and the subtype of the white cell."""

import csv
import shutil
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import boxes_in, count_voc_set, split_of, write_rows, write_splits

_SUBTYPES = ("NEUTROPHIL", "EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "BASOPHIL")
_BOXES = ("Shenggan/BCCD_Dataset", "d272fb14cdff6e473fafeeeba32aba5f560e9e43")
_LABELS = ("dhruvp/wbc-classification", "0b22eb2084b1004d464fb5ab87adc85ab94b2079")


class BCCD(Source):
    """364 photographs of blood cells: boxes of red cells, white cells and platelets, and the white cell's subtype.

    Row N of the second repository's labels belongs to picture `BloodImage_%05d` % N of the first one. `wbc_class` is
    the subtype if all labels of a picture agree, MIXED if they differ and NONE if there is none.
    """

    name = "bccd"
    licence = "MIT (pictures and boxes); none stated for the subtype labels"
    cite = "github.com/Shenggan/BCCD_Dataset and github.com/dhruvp/wbc-classification"
    max_bytes = 100_000_000
    files = (
        Files(
            *_BOXES,
            "BCCD/JPEGImages",
            "images",
            "ab73ed237b5367bf5f8e6a81753d23c16469e375c88b66fc25f4d705a79c1a2a",
            (".jpg",),
            364,
        ),
        Files(
            *_BOXES,
            "BCCD/Annotations",
            "annotations",
            "014ce8749bcc6a54ba6197e5c3259fd5a867c13e8de700898a2e6056d95e0901",
            (".xml",),
            364,
        ),
        Files(
            *_BOXES,
            "BCCD/ImageSets/Main",
            "splits",
            "5e2a58d79305ed7cc093ffd79429786baed1c6ce0107538d2d0b48eda83a0195",
            (".txt",),
            4,
        ),
        Files(*_BOXES, "LICENSE", "LICENSE.txt", "e2b611c8f321cb03c8d1b378a343ef488b623cf714c48bee814f04fcf8ba26df"),
        Files(*_LABELS, "labels.csv", "labels.csv", "2a11d215cade403d4fdb02b27b914c505bf59d4879b9b911fe97830b90c4e1a2"),
    )
    counts: ClassVar[dict[str, int]] = {
        "pictures": 364,
        "boxes": 4888,
        "train": 205,
        "val": 87,
        "test": 72,
        "subtypes": 355,
    }

    def write(self, raw: Path, to: Path) -> None:
        for name in ("images", "annotations", "LICENSE.txt"):
            (raw / name).rename(to / name)
        splits = {s: (raw / f"splits/{s}.txt").read_text("utf-8").split() for s in ("train", "val", "test")}
        write_splits(to, splits)
        (to / "raw").mkdir()
        shutil.copyfile(raw / "labels.csv", to / "raw/labels.csv")
        with (raw / "labels.csv").open(encoding="utf-8", newline="") as file:
            labels = {f"BloodImage_{int(row['Image']):05d}": row["Category"] for row in csv.DictReader(file)}
        rows = []
        for image, split in sorted(split_of(splits).items()):
            cells = [cell.strip() for cell in labels[image].split(",") if cell.strip()]
            boxes = boxes_in(to / f"annotations/{image}.xml")
            wbc_class = cells[0] if len(set(cells)) == 1 else "MIXED" if cells else "NONE"
            row: dict[str, object] = {
                "image": image,
                "split": split,
                "wbc_class": wbc_class,
                "wbc_labels": "|".join(cells),
            }
            row |= {f"has_{subtype.lower()}": int(subtype in cells) for subtype in _SUBTYPES}
            row |= {"n_wbc_boxes": boxes["WBC"], "n_rbc_boxes": boxes["RBC"], "n_platelet_boxes": boxes["Platelets"]}
            rows.append({**row, "label_count_matches_boxes": int(len(cells) == boxes["WBC"])})
        write_rows(to / "image_labels.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        with (folder / "image_labels.csv").open(encoding="utf-8", newline="") as file:
            named = sum(row["wbc_class"] in _SUBTYPES for row in csv.DictReader(file))
        return {**count_voc_set(folder), "subtypes": named}
