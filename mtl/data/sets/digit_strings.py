"""`DigitStrings`: recordings of single digits joined to rows of digits, as in a telephone number, and who says them.

Source: the Free Spoken Digit Dataset in the layout of `SpokenDigits`, as the command `data fsdd` writes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtl.data.audio.joined_waves import Joined, JoinedWaves
from mtl.data.audio.listed_recordings import Recording, of_split, read_table
from mtl.data.module import JointDataModule
from mtl.data.sets.spoken_digits import SPEAKERS, WORDS, SpokenDigits
from mtl.errors import did_you_mean
from mtl.targets.transcript import BLANK_NAME
from mtl.task import Inputs, InputSpec, Task

_DIGITS = tuple(str(number) for number in range(10))


class DigitStrings(JointDataModule):
    """Tasks: `digits` (transcript, words) and `speaker` (classification). Input: `audio`.

    All digits of a row are of one speaker and of one split. With `held_out`, one speaker is in no training and no
    validation row, and all his recordings make the test rows; nobody can name that speaker, so test rows then have no
    label of `speaker`.

    Args:
        root: folder of `recordings.csv` and `recordings/`.
        held_out: a speaker to test on; by default all speakers are in all splits.
        num_train: number of training rows.
        num_val: number of validation rows.
        num_test: number of test rows.
        least_digits: shortest row.
        most_digits: longest row.
        pauses: shortest and longest silence before, between and behind the digits, seconds.
        speed: training rows are said up to this share faster or slower, and so higher or lower.
        bands: bands of the spectrogram.
        rate: values a second; recordings of other rates are resampled.
        batch_size: rows per training step and process.
        batch_tokens: most frames (10 ms) of a training step and process, padding included; no limit by default.
        eval_batch_size: rows per validation and test step.
        num_workers: loader processes; the recordings are in memory, so 0 is best.
        seed: seed of the order of training rows.
        draw_seed: seed of the rows themselves, so that runs of several seeds test the same ones.
    """

    def __init__(
        self,
        root: str | Path,
        held_out: str | None = None,
        num_train: int = 4000,
        num_val: int = 300,
        num_test: int = 600,
        least_digits: int = 2,
        most_digits: int = 6,
        pauses: tuple[float, float] = (0.0, 0.2),
        speed: float = 0.1,
        bands: int = 40,
        rate: int = 8000,
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
        draw_seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(held_out), batch_size, eval_batch_size, num_workers, seed)
        if held_out is not None and held_out not in SPEAKERS:
            raise ValueError(
                f"held_out={held_out!r} is no speaker.{did_you_mean(held_out, SPEAKERS)} The speakers are "
                f"{', '.join(SPEAKERS)}."
            )
        if not 1 <= least_digits <= most_digits or min(num_train, num_val, num_test) < 1:
            raise ValueError(
                f"num_train={num_train}, num_val={num_val} and num_test={num_test} must be at least 1, and "
                f"least_digits={least_digits} from 1 to most_digits={most_digits}."
            )
        if not 0 <= pauses[0] <= pauses[1] or not 0 <= speed < 1:
            raise ValueError(
                f"pauses={pauses} must be two numbers of seconds from 0 on, the smaller first, and speed={speed} at "
                "least 0 and below 1."
            )
        self.root = Path(root)
        self.held_out = held_out
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.digits_of_row = (least_digits, most_digits)
        self.pauses = pauses
        self.speed = speed
        self.draw_seed = draw_seed
        self.batch_tokens = batch_tokens
        self.inputs = self.declare_inputs(bands, rate)

    @classmethod
    def declare_tasks(cls, held_out: str | None = None, **_: Any) -> dict[str, Task]:
        known = tuple(speaker for speaker in SPEAKERS if speaker != held_out)
        return {
            "digits": Task("digits", "transcript", class_names=(BLANK_NAME, *WORDS)),
            "speaker": Task("speaker", "classification", class_names=known),
        }

    @classmethod
    def declare_inputs(cls, bands: int = 40, rate: int = 8000, **_: Any) -> Inputs:
        return {"audio": InputSpec("audio", "audio", channels=bands, rate=rate)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        rows = {"num_train": 8, "num_val": 4, "num_test": 4, "most_digits": 3}
        return {**(SpokenDigits.example_args(folder)), **rows}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._join(split))

    def explain_unlabelled(self, split: str, task: Task) -> str:
        if split == "test" and self.held_out:
            return f"All test rows are of {self.held_out!r}, whom no training row has."
        return ""

    def _join(self, split: str) -> JoinedWaves:
        chosen = self._chosen(split)
        digits = [recording.index("digit", _DIGITS) for recording in chosen]
        speakers = [recording.index("speaker", SPEAKERS) for recording in chosen]
        by_speaker = [np.flatnonzero(np.asarray(speakers) == speaker) for speaker in sorted(set(speakers))]
        # every split draws for itself, so that its rows do not depend on the size of another
        rng = np.random.default_rng([self.draw_seed, ("train", "val", "test").index(split)])
        rate = self.inputs["audio"].rate
        plans = []
        for _ in range(self.counts[split]):
            of_speaker = by_speaker[rng.integers(len(by_speaker))]
            count = int(rng.integers(self.digits_of_row[0], self.digits_of_row[1] + 1))
            parts = rng.choice(of_speaker, size=count).tolist()
            pauses = (rng.uniform(*self.pauses, size=count + 1) * rate).astype(int).tolist()
            speed = float(rng.uniform(1 - self.speed, 1 + self.speed)) if split == "train" else 1.0
            plans.append(Joined(tuple(parts), tuple(pauses), speed))
        names = self.tasks["speaker"].class_names
        known = {SPEAKERS.index(name): place for place, name in enumerate(names)}
        targets: dict[str, Sequence[Any]] = {
            "digits": [torch.tensor([digits[part] + 1 for part in plan.parts]) for plan in plans],  # 0 is the blank
        }
        if not (split == "test" and self.held_out):
            targets["speaker"] = [known[speakers[plan.parts[0]]] for plan in plans]
        waves = [recording.wave(rate) for recording in chosen]
        return JoinedWaves(waves, plans, self.inputs["audio"], targets, [recording.name for recording in chosen])

    def _chosen(self, split: str) -> list[Recording]:
        every = read_table(self.root, ("digit", "speaker"))
        if self.held_out is None:
            return of_split(every, split, self.root)
        if split == "test":
            return [recording for recording in every if recording.row["speaker"] == self.held_out]
        return [r for r in of_split(every, split, self.root) if r.row["speaker"] != self.held_out]
