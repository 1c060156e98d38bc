"""`EmotionalSpeech`: Polish sentences: the letters, who says them, and with which emotion (nEMO, a subset).

Source: Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024 (CC BY-NC-SA 4.0), as
`recordings.csv` with recording, split, emotion, speaker, sentence_id and normalized_text beside `recordings/*.wav`.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.data.audio.listed_recordings import SPLITS, Recording, read_table
from mtl.data.audio.noise_file import write_noise
from mtl.data.audio.wav_file import resample
from mtl.data.audio.wave_set import WaveSet
from mtl.data.module import JointDataModule
from mtl.targets.transcript import BLANK_NAME
from mtl.task import Inputs, InputSpec, Task

LETTERS = (BLANK_NAME, *" aąbcćdeęfghijklłmnńoóprsśtuwyzźż")
SPEAKERS = ("EB0", "IC0", "KD0", "KS0", "SM0", "TP0")
EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
_COLUMNS = ("emotion", "speaker", "sentence_id", "normalized_text")


class EmotionalSpeech(JointDataModule):
    """Tasks: `text` (transcript, letters), `speaker` and `emotion` (classification). Input: `audio`.

    Each speaker says each sentence once with each emotion. Of the sentences of a speaker and an emotion one is tested
    and one validated: as the table says in fold 0, and the next sentences by number in every further fold.
    So the folds' test recordings differ, and their results can be pooled.

    Args:
        root: folder of `recordings.csv` and `recordings/`.
        fold: how far test and validation are moved from the splits of the table.
        speeds: every training recording is there once for each; 1.1 is a tenth faster, and higher.
        bands: bands of the spectrogram.
        rate: values a second; recordings of other rates are resampled.
        batch_size: recordings per training step and process.
        batch_tokens: most frames (10 ms) of a training step and process, padding included; no limit by default.
        eval_batch_size: recordings per validation and test step.
        num_workers: loader processes; the recordings are in memory, so 0 is best.
        seed: seed of the order of training recordings.
    """

    def __init__(
        self,
        root: str | Path,
        fold: int = 0,
        speeds: Sequence[float] = (0.9, 1.0, 1.1),
        bands: int = 40,
        rate: int = 16000,
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 36,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed)
        if fold < 0:
            raise ValueError(f"fold={fold} must be at least 0.")
        if not speeds or min(speeds) <= 0:
            raise ValueError(f"speeds={list(speeds)} must be one number or more, each above 0.")
        self.root = Path(root)
        self.fold = fold
        self.speeds = tuple(speeds)
        self.batch_tokens = batch_tokens
        self.inputs = self.declare_inputs(bands, rate)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {
            "text": Task("text", "transcript", class_names=LETTERS),
            "speaker": Task("speaker", "classification", class_names=SPEAKERS),
            "emotion": Task("emotion", "classification", class_names=EMOTIONS),
        }

    @classmethod
    def declare_inputs(cls, bands: int = 40, rate: int = 16000, **_: Any) -> Inputs:
        return {"audio": InputSpec("audio", "audio", channels=bands, rate=rate)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        (folder / "recordings").mkdir()
        lines = ["recording,split,emotion,speaker,sentence_id,normalized_text"]
        splits = ("test", "val", "train", "train")
        for index in range(16):
            group, sentence = divmod(index, 4)
            split = splits[(sentence - group) % 4]
            lines.append(f"r{index},{split},{EMOTIONS[group]},{SPEAKERS[group]},{sentence + 1},ąż")
            write_noise(folder / f"recordings/r{index}.wav", 4000 + 400 * index, index)
        (folder / "recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": str(folder), "rate": 8000}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._read(split))

    def _read(self, split: str) -> WaveSet:
        recordings = read_table(self.root, _COLUMNS)
        moved = moved_splits(recordings, self.fold)
        chosen = [recording for recording, now in zip(recordings, moved, strict=True) if now == split]
        spec = self.inputs["audio"]
        waves: list[Tensor] = []
        names = []
        targets: dict[str, list[Any]] = {"text": [], "speaker": [], "emotion": []}
        for recording in chosen:
            wave = recording.wave(spec.rate)
            for speed in self.speeds if split == "train" else (1.0,):
                waves.append(resample(wave, spec.rate, round(spec.rate / speed)))
                names.append(recording.name)
                targets["text"].append(_letters(recording))
                targets["speaker"].append(recording.index("speaker", SPEAKERS))
                targets["emotion"].append(recording.index("emotion", EMOTIONS))
        return WaveSet(waves, spec, targets, names)


def moved_splits(recordings: Sequence[Recording], fold: int) -> list[str]:
    """The split of every recording in a fold: the split of the sentence `fold` places before, same speaker and emotion.

    Args:
        recordings: all of the table.
        fold: how many places.

    Raises:
        ValueError: if a number of a sentence is no number, or a fold leaves a speaker and an emotion as they were.
    """
    groups = defaultdict(list)
    for place, recording in enumerate(recordings):
        number = recording.row["sentence_id"].strip()
        if not number.isdecimal():
            raise ValueError(f"{recording.where}: sentence_id {number!r} is no number. Correct the table.")
        groups[recording.row["speaker"], recording.row["emotion"]].append((int(number), place))
    moved = [recording.row["split"] for recording in recordings]
    for (speaker, emotion), numbered in groups.items():
        places = [place for _, place in sorted(numbered)]
        if fold >= len(places):
            raise ValueError(
                f"fold={fold}, and {speaker} says {len(places)} sentences with {emotion}: the folds are 0 to "
                f"{len(places) - 1}."
            )
        for index, place in enumerate(places):
            moved[place] = recordings[places[index - fold]].row["split"]
    assert set(moved) <= set(SPLITS)
    return moved


def _letters(recording: Recording) -> Tensor:
    text = recording.row["normalized_text"].strip()
    unknown = sorted(set(text) - set(LETTERS[1:]))
    if unknown or not text:
        what = f"has the letters {', '.join(map(repr, unknown))}" if unknown else "is empty"
        raise ValueError(
            f"{recording.where}: normalized_text {text!r} {what}; expected lower-case Polish letters and spaces."
        )
    return torch.tensor([LETTERS.index(letter) for letter in text])
