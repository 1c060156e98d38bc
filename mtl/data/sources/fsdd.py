"""FSDD: recordings of spoken digits."""

import wave
from pathlib import Path
from typing import ClassVar

from mtl.data.sources.source import Files, Source
from mtl.data.sources.splits_and_labels import count_splits, split_of, write_rows, write_splits

_COMMIT = ("Jakobovski/free-spoken-digit-dataset", "26eb9aaf76e81b692f806f9140c2d2777410d7a1")
_ACCENTS = {  # `metadata.py` of the source; every speaker is male
    "george": "GRC/Greek",
    "jackson": "USA/neutral",
    "lucas": "DEU/German",
    "nicolas": "BEL/French",
    "theo": "USA/neutral",
    "yweweler": "DEU/German",
}


class FSDD(Source):
    """3000 recordings of spoken digits (8 kHz): the digit, the speaker and the accent.

    Recordings 0-4 of each digit and speaker are the test split, as at the source; 5-9 are val.
    """

    name = "fsdd"
    licence = "CC BY-SA 4.0"
    cite = "Zohar Jackson et al., Free Spoken Digit Dataset, github.com/Jakobovski/free-spoken-digit-dataset"
    max_bytes = 100_000_000
    files = (
        Files(
            *_COMMIT,
            "recordings",
            "recordings",
            "1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959",
            (".wav",),
            3000,
        ),
    )
    counts: ClassVar[dict[str, int]] = {"recordings": 3000, "train": 2400, "val": 300, "test": 300}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "recordings").rename(to / "recordings")
        splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for name in sorted(file.stem for file in (to / "recordings").iterdir()):
            index = int(name.rsplit("_", 1)[1])
            splits["test" if index < 5 else "val" if index < 10 else "train"].append(name)
        write_splits(to, splits)
        rows = []
        for name, split in sorted(split_of(splits).items()):
            digit, speaker, _ = name.split("_")
            with wave.open(str(to / f"recordings/{name}.wav")) as recording:
                n_samples = recording.getnframes()
            row: dict[str, object] = {"recording": name, "split": split, "digit": digit, "speaker": speaker}
            rows.append(row | {"gender": "male", "accent": _ACCENTS[speaker], "n_samples": n_samples})
        write_rows(to / "recordings.csv", rows)

    def count(self, folder: Path) -> dict[str, int]:
        return {"recordings": sum(1 for _ in (folder / "recordings").iterdir()), **count_splits(folder)}
