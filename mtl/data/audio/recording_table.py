"""`RecordingTable`: recordings of your own, named by a CSV file, with classes, transcripts or numbers beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mtl.batch import Sample
from mtl.config.paths import expanded
from mtl.data.audio.audio_file import MAX_SECONDS, SUFFIXES, read_audio
from mtl.data.audio.noise_file import write_noise
from mtl.data.csv_rows import Row, Rows
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.table.named_files import named_file, usable_rows
from mtl.data.table.sequence_table import SequenceTable
from mtl.errors import check_least
from mtl.inputs.audio import hop
from mtl.task import Inputs, InputSpec

AUDIO = "audio"  # name of the input


class RecordingTable(SequenceTable):
    """Rows with a recording each. Inputs: `audio`, and `row` with columns of numbers.

    All recordings are kept in memory: 64 kB a second at 16,000 values a second.

    Args:
        path: the CSV file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means: `speaker: {}` (classes as the column has them),
            `words: {kind: transcript}` (its letters; with `classes: [<blank>, yes, no]` its words), `age: {kind:
            regression}`.
        recording: column with the file of the recording, with or without its suffix.
        folder: folder that these names are relative to; the folder of the CSV by default.
        rate: values a second; recordings of other rates are resampled.
        bands: bands of the spectrogram.
        max_seconds: longest recording.
        on_bad_recording: for one that is not there, damaged, empty or too long: `error`, which names them all, or
            `skip`, which leaves out the row and says how many.
        **kwargs: arguments of `SequenceTable` and `TableDataModule`.
    """

    def __init__(
        self,
        path: str,
        column_tasks: dict[str, ImageLabels],
        recording: str = "recording",
        folder: str | None = None,
        rate: int = 16000,
        bands: int = 40,
        max_seconds: float = MAX_SECONDS,
        on_bad_recording: Literal["error", "skip"] = "error",
        **kwargs: Any,
    ) -> None:
        super().__init__(path, column_tasks, **kwargs)
        check_least(1, rate=rate, bands=bands)
        if max_seconds <= 0:
            raise ValueError(f"max_seconds={max_seconds} must be above 0.")
        self.inputs = {**_input(bands, rate), **self.inputs}
        self.recording = recording
        self.folder = Path(expanded(folder)) if folder else self.path.parent
        self.max_seconds = max_seconds
        self.on_bad_recording = on_bad_recording

    @classmethod
    def declare_inputs(cls, *, bands: int = 40, rate: int = 16000, **init_args: Any) -> Inputs:
        return {**_input(bands, rate), **super().declare_inputs(**init_args)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        lines = ["recording,speaker,words,pitch,split"]
        for number in range(20):
            write_noise(folder / f"r{number}.wav", 4000 + 300 * number, number)
            split = ("train", "train", "train", "val", "test")[number % 5]
            lines.append(f"r{number}{'.wav' if number % 2 else ''},{'ab'[number % 2]},{'ja nein'[: 2 + number % 5]},")
            lines[-1] += f"{number if number % 3 else ''},{split}"
        (folder / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        tasks = {"speaker": {}, "words": {"kind": "transcript"}, "pitch": {"kind": "regression"}}
        return {
            "path": str(folder / "recordings.csv"),
            "column_tasks": tasks,
            "rate": 8000,
            "split_column": "split",
        }

    def more_columns(self) -> list[str]:
        return [self.recording]

    def read_sequences(self, rows: Rows, split: str) -> tuple[Rows, list[Sample]]:
        waves, faults = self._read(rows)
        usable_rows(
            rows, faults, split, "recordings", "on_bad_recording", self.on_bad_recording, "`recording` and `folder`"
        )
        return rows.at(list(waves)), [{AUDIO: wave} for wave in waves.values()]

    def steps_of(self, sample: Sample) -> int:
        return -(-len(sample[AUDIO]) // hop(self.inputs[AUDIO]))

    def text_of(self, row: Row) -> str:
        return row[self.recording].strip()

    def _read(self, rows: Rows) -> tuple[dict[int, Tensor], dict[int, str]]:
        """The waveform of every row that has one, and what is wrong with the others, by the place of the row."""
        rate = self.inputs[AUDIO].rate
        assert rate is not None
        waves, faults = {}, {}
        for place, row in enumerate(rows.rows):
            try:
                waves[place] = read_audio(
                    named_file([self.folder], row[self.recording], SUFFIXES), rate, self.max_seconds
                )
            except (ValueError, OSError) as error:
                faults[place] = str(error).split(". ")[0]
        return waves, faults


def _input(bands: int, rate: int) -> Mapping[str, InputSpec]:
    return {AUDIO: InputSpec(AUDIO, "audio", channels=bands, rate=rate)}
