"""`SpokenDigits`: recordings of single digits: the word, who says it, and the accent (Free Spoken Digit Dataset).

Source: `recordings.csv` with recording, split, digit, speaker and accent, beside `recordings/*.wav`, as the command
`data fsdd` writes them.
"""

from pathlib import Path
from typing import Any

import torch

from mtl.data.audio.listed_recordings import of_split, read_table
from mtl.data.audio.noise_file import write_noise
from mtl.data.audio.wave_set import WaveSet
from mtl.data.module import JointDataModule, OnUnlabelled
from mtl.targets.transcript import BLANK_NAME
from mtl.task import Inputs, InputSpec, Task

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = (BLANK_NAME, *sorted(set("".join(WORDS))))
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
ACCENTS = ("BEL/French", "DEU/German", "GRC/Greek", "USA/neutral")


class SpokenDigits(JointDataModule):
    """Tasks: `digit`, `speaker`, `accent` (classification), `word` (transcript, letters). Input: `audio`.

    Each speaker has one accent, so that `accent` asks for a group of speakers and is no independent task.

    Args:
        root: folder of `recordings.csv` and `recordings/`.
        bands: bands of the spectrogram.
        rate: values a second; recordings of other rates are resampled.
        batch_size: recordings per training step and process.
        batch_tokens: most frames (10 ms) of a training step and process, padding included; no limit by default.
        eval_batch_size: recordings per validation and test step.
        num_workers: loader processes; the recordings are in memory, so 0 is best.
        seed: seed of the order of training recordings.
        on_unlabelled: as for every data module.
    """

    def __init__(
        self,
        root: str | Path,
        bands: int = 40,
        rate: int = 8000,
        batch_size: int = 64,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 150,
        num_workers: int = 0,
        seed: int = 0,
        on_unlabelled: OnUnlabelled = "error",
    ) -> None:
        super().__init__(
            self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed, on_unlabelled=on_unlabelled
        )
        self.root = Path(root)
        self.batch_tokens = batch_tokens
        self.inputs = self.declare_inputs(bands, rate)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "digit": Task("digit", "classification", class_names=WORDS),
            "word": Task("word", "transcript", class_names=LETTERS),
            "speaker": Task("speaker", "classification", class_names=SPEAKERS),
            "accent": Task("accent", "classification", class_names=ACCENTS),
        }

    @classmethod
    def declare_inputs(cls, bands: int = 40, rate: int = 8000, **_: Any) -> Inputs:
        return {"audio": InputSpec("audio", "audio", channels=bands, rate=rate)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        (folder / "recordings").mkdir()
        lines = ["recording,split,digit,speaker,accent"]
        for index in range(12):
            split = ("train", "val", "test")[max(0, index - 9)]
            lines.append(f"r{index},{split},{index % 10},{SPEAKERS[index % 6]},{ACCENTS[index % 4]}")
            write_noise(folder / f"recordings/r{index}.wav", 2000 + 200 * index, index)
        (folder / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": str(folder)}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._read(split))

    def _read(self, split: str) -> WaveSet:
        chosen = of_split(read_table(self.root, ("digit", "speaker", "accent")), split, self.root)
        spec = self.inputs["audio"]
        digits = tuple(str(number) for number in range(10))
        numbers = {
            column: [recording.index(column, names) for recording in chosen]
            for column, names in (("digit", digits), ("speaker", SPEAKERS), ("accent", ACCENTS))
        }
        words = [torch.tensor([LETTERS.index(letter) for letter in WORDS[digit]]) for digit in numbers["digit"]]
        waves = [recording.wave(spec.rate) for recording in chosen]
        return WaveSet(waves, spec, {**numbers, "word": words}, [recording.name for recording in chosen])
