"""Playing cards: photographs with a box around every card, and the card that a picture shows."""

from pathlib import Path
from typing import ClassVar

from PIL import Image

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import boxes_in, count_voc_set, split_of, write_rows, write_splits

_RANKS = ("nine", "ten", "jack", "queen", "king", "ace")
_COMMIT = (
    "EdjeElectronics/TensorFlow-Object-Detection-API-Tutorial-Train-Multiple-Objects-Windows-10",
    "c1645825822622fc75919b6be253779d49678f55",
)
_BLOCK = 10  # neighbouring names are near duplicates, so they stay together
_REPEATED = ("cam_image54",)  # the same picture as cam_image1 of the train split
_QUALITY = 90


class PlayingCards(Source):
    """363 photographs of playing cards: boxes of nine to ace, and the rank if all cards of a picture share it.

    The source's test folder is the test split. Of its train folder, sorted by name and cut into blocks of 10, every
    fifth block is val, but for a picture that repeats one of train. Pictures are encoded again at the same size, which
    drops the camera's metadata.
    """

    name = "playing_cards"
    licence = "Apache-2.0"
    cite = f"github.com/{_COMMIT[0]}"
    max_bytes = 300_000_000
    files = (
        Files(
            *_COMMIT,
            "images/train",
            "train",
            "d5135c3ee066dc31fa1533436a50b8e34dca4222b9193cf01262f7c0ed7e665f",
            (".JPG", ".jpg"),
            296,
        ),
        Files(
            *_COMMIT,
            "images/test",
            "test",
            "265fe14aa0a692d2b74857e958e7de5e7f9723b9a17fbf8c126c90e0479ef2e5",
            (".JPG", ".jpg"),
            67,
        ),
        Files(
            *_COMMIT,
            "images/train",
            "boxes/train",
            "3d00a5004eb0d432c00f0223ea4e631bd2d055bc998a751f444b4e2fec1f2404",
            (".xml",),
            296,
        ),
        Files(
            *_COMMIT,
            "images/test",
            "boxes/test",
            "579e57892d192a24358ea3d6ca7f3d276c65175429fe77714bf93975467c95fb",
            (".xml",),
            67,
        ),
        Files(*_COMMIT, "LICENSE", "LICENSE.txt", "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"),
    )
    counts: ClassVar[dict[str, int]] = {"pictures": 363, "boxes": 670, "train": 241, "val": 55, "test": 67}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "LICENSE.txt").rename(to / "LICENSE.txt")
        for name in ("images", "annotations"):
            (to / name).mkdir()
        for folder in ("train", "test"):
            for picture in (raw / folder).iterdir():
                with Image.open(picture) as opened:
                    opened.convert("RGB").save(to / f"images/{picture.stem}.jpg", quality=_QUALITY)
            for file in (raw / "boxes" / folder).iterdir():
                file.rename(to / "annotations" / file.name)
        names = sorted(file.stem for file in (raw / "train").iterdir())
        splits: dict[str, list[str]] = {"train": [], "val": []}
        for i, name in enumerate(names):
            splits["val" if i // _BLOCK % 5 == 4 and name not in _REPEATED else "train"].append(name)
        splits["test"] = sorted(file.stem for file in (raw / "test").iterdir())
        write_splits(to, splits)
        rows = []
        for image, split in sorted(split_of(splits).items()):
            boxes = boxes_in(to / f"annotations/{image}.xml")
            card_class = next(iter(boxes)) if len(boxes) == 1 else "mixed"
            row: dict[str, object] = {"image": image, "split": split, "card_class": card_class}
            row["n_cards"] = boxes.total()
            rows.append(row | {f"n_{rank}": boxes[rank] for rank in _RANKS})
        write_rows(to / "image_labels.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        return count_voc_set(folder)
