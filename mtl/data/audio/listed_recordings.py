"""Tables of recordings: `recordings.csv` names them and says what is known, beside the folder `recordings/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mtl.data.audio.audio_file import SUFFIXES, read_audio
from mtl.data.csv_rows import Row, read_csv
from mtl.errors import did_you_mean

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Recording:
    """One row of the table.

    Args:
        row: its cells by column.
        where: file and line, for messages.
        path: the sound.
    """

    row: Row
    where: str
    path: Path

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.row["recording"]

    def wave(self, rate: int) -> Tensor:
        """The waveform, float32 [T].

        Args:
            rate: values a second wanted.
        """
        return read_audio(self.path, rate)

    def index(self, column: str, names: Sequence[str]) -> int:
        """Which of the names a cell holds.

        Args:
            column: of the table.
            names: all that may stand there.

        Raises:
            ValueError: for another name, with file and line.
        """
        cell = self.row[column]
        if cell not in names:
            raise ValueError(
                f"{self.where}: {column} {cell!r} is unknown; the names are {', '.join(names)}."
                f"{did_you_mean(cell, names)} Correct the table."
            )
        return names.index(cell)


def read_table(root: Path, columns: Sequence[str]) -> list[Recording]:
    """All recordings of a folder, without their sound.

    Args:
        root: folder of `recordings.csv` and `recordings/`.
        columns: columns that must be there beside `recording` and `split`.

    Raises:
        ValueError: if a column is missing, a split is not train, val or test, or a recording is in two splits.
    """
    table = read_csv(root / "recordings.csv", ["recording", "split", *columns])
    recordings = [
        Recording(row, f"{table.source!r}, line {line}", _file(root / "recordings", row["recording"]))
        for row, line in zip(table.rows, table.lines, strict=True)
    ]
    first: dict[str, Recording] = {}
    for recording in recordings:
        recording.index("split", SPLITS)
        other = first.setdefault(recording.name, recording)
        if other.row["split"] != recording.row["split"]:
            raise ValueError(
                f"{recording.where}: recording {recording.name!r} is in split {recording.row['split']!r}, and in "
                f"{other.row['split']!r} in line {other.where.rpartition(' ')[2]}. Keep it in one split."
            )
    return recordings


def of_split(recordings: Sequence[Recording], split: str, root: Path) -> list[Recording]:
    """The recordings of one split.

    Args:
        recordings: all.
        split: train, val or test.
        root: their folder, for the message.

    Raises:
        ValueError: if there is none.
    """
    chosen = [recording for recording in recordings if recording.row["split"] == split]
    if not chosen:
        source = str(root / "recordings.csv")
        raise ValueError(f"{source!r} has no recording of split {split!r}; its splits are {', '.join(SPLITS)}.")
    return chosen


def _file(folder: Path, name: str) -> Path:
    files = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    return next((file for file in files if file.is_file()), files[0])
