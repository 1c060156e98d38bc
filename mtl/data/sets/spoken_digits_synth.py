"""`SpokenDigitsSynth`: rows of digits spoken by four machine voices; it needs no download.

An example that trains in two minutes, not evidence: the voices are formulas, far easier than people.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mtl.data.audio.formants import RATE, Voice, speak
from mtl.data.audio.wave_set import WaveSet
from mtl.data.module import JointDataModule
from mtl.targets.transcript import BLANK_NAME
from mtl.task import Inputs, InputSpec, Task

WORDS = (BLANK_NAME, "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = {
    "anna": Voice(pitch=215, tract=1.17, speed=1.0, breath=0.02),
    "ben": Voice(pitch=110, tract=1.0, speed=1.1, breath=0.01),
    "carla": Voice(pitch=185, tract=1.1, speed=0.8, breath=0.05),
    "dan": Voice(pitch=135, tract=0.95, speed=0.85, breath=0.03),
}


@dataclass(frozen=True)
class Mood:
    """How an emotion changes a voice.

    Args:
        pitch: factor on the pitch.
        speed: factor on the length of every sound.
        energy: factor on the loudness, at most 1.
    """

    pitch: float
    speed: float
    energy: float


EMOTIONS = {
    "neutral": Mood(pitch=1.0, speed=1.0, energy=0.6),
    "happy": Mood(pitch=1.25, speed=0.9, energy=0.8),
    "sad": Mood(pitch=0.85, speed=1.35, energy=0.3),
    "angry": Mood(pitch=1.1, speed=0.75, energy=1.0),
}


class SpokenDigitsSynth(JointDataModule):
    """Tasks: `digits` (transcript, words), `speaker`, `emotion` (classification), `pitch` (sequence regression).

    Emotion and pitch only if asked for. The input is `audio`, 8 kHz; the pitch of the voice is in Hz, every 5 ms.
    Emotions differ in pitch, rate and energy; the energy is heard with `equal_loudness: false` of `AudioInput` alone.

    Args:
        num_train: number of training recordings.
        num_val: number of validation recordings.
        num_test: number of test recordings.
        most_digits: longest row of digits; the shortest is one.
        bands: bands of the spectrogram.
        pitch: whether the pitch of the voice is a task.
        emotion: whether the voices have emotions, which are a task then.
        batch_size: recordings per training step and process.
        batch_tokens: most frames (10 ms) of a training step and process, padding included; no limit by default.
        eval_batch_size: recordings per validation and test step.
        num_workers: loader processes; the recordings are in memory, so 0 is best.
        seed: seed of the recordings and of their order.
    """

    def __init__(
        self,
        num_train: int = 800,
        num_val: int = 100,
        num_test: int = 100,
        most_digits: int = 4,
        bands: int = 40,
        pitch: bool = False,
        emotion: bool = False,
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(pitch, emotion), batch_size, eval_batch_size, num_workers, seed)
        if min(num_train, num_val, num_test, most_digits) < 1:
            raise ValueError(
                f"num_train={num_train}, num_val={num_val}, num_test={num_test} and most_digits={most_digits} must be "
                "at least 1."
            )
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.most_digits = most_digits
        self.batch_tokens = batch_tokens
        self.inputs = self.declare_inputs(bands)

    @classmethod
    def declare_tasks(cls, pitch: bool = False, emotion: bool = False, **_: Any) -> dict[str, Task]:
        tasks = {
            "digits": Task("digits", "transcript", class_names=WORDS),
            "speaker": Task("speaker", "classification", class_names=tuple(VOICES)),
        }
        if emotion:
            tasks["emotion"] = Task("emotion", "classification", class_names=tuple(EMOTIONS))
        return tasks | ({"pitch": Task("pitch", "sequence_regression")} if pitch else {})

    @classmethod
    def declare_inputs(cls, bands: int = 40, **_: Any) -> Inputs:
        return {"audio": InputSpec("audio", "audio", channels=bands, rate=RATE)}

    @classmethod
    def example_args(cls, folder: Any) -> dict[str, Any]:
        return {"num_train": 8, "num_val": 4, "num_test": 4, "most_digits": 2}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._speak(split))

    def _speak(self, split: str) -> WaveSet:
        # every split draws for itself, so that its recordings do not depend on the size of another
        rng = np.random.default_rng([self.seed, list(self.counts).index(split)])
        waves, pitches, rows, speakers, emotions = [], [], [], [], []
        for _ in range(self.counts[split]):
            digits = rng.integers(10, size=int(rng.integers(1, self.most_digits + 1))).tolist()
            speaker = int(rng.integers(len(VOICES)))
            voice = list(VOICES.values())[speaker]
            if "emotion" in self.tasks:
                emotions.append(int(rng.integers(len(EMOTIONS))))
                mood = list(EMOTIONS.values())[emotions[-1]]
                voice = replace(voice, pitch=voice.pitch * mood.pitch, speed=voice.speed * mood.speed)
            wave_T, pitch_N = speak(digits, voice, rng)
            waves.append(wave_T * mood.energy if emotions else wave_T)
            pitches.append(pitch_N)
            rows.append(torch.tensor(digits) + 1)  # 0 is the blank
            speakers.append(speaker)
        targets: dict[str, list[Any]] = {"digits": rows, "speaker": speakers, "emotion": emotions, "pitch": pitches}
        return WaveSet(waves, self.inputs["audio"], {name: targets[name] for name in self.tasks})
