"""`SpokenAndWrittenDigits`: a written and a spoken digit of the same class, both noisy; tasks need one or both.

Pictures are those that come with scikit-learn (8 x 8 pixels); voices are formulas, or recordings of people (the Free
Spoken Digit Dataset). Each sample pairs a picture and a recording of one class and of one split.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.audio.formants import RATE, speak
from mtl.data.module import JointDataModule
from mtl.data.sets.spoken_digits import SPEAKERS, SpokenDigits
from mtl.data.sets.spoken_digits_synth import VOICES
from mtl.task import Inputs, InputSpec, Task

Modality = Literal["image", "audio"]
_PICTURES = {"train": slice(0, 1200), "val": slice(1200, 1450), "test": slice(1450, 1797)}
_SPLITS = tuple(_PICTURES)


class SpokenAndWrittenDigits(JointDataModule):
    """Tasks: `digit` (both inputs say it), `speaker` (the sound says it), `ink` (the picture does). Inputs as chosen.

    `ink` is the mean brightness of the picture without noise. With fewer modalities the same samples lack an input.

    Args:
        root: folder of `recordings.csv` and `recordings/`, as `data fsdd` writes them; machine voices by default.
        modalities: the inputs, `image`, `audio` or both.
        for_teachers: inputs that the model does not get, and its teachers do (`Distill`).
        num_train: number of training samples with machine voices; with recordings one for each of them.
        num_val: number of validation samples with machine voices.
        num_test: number of test samples with machine voices.
        pixel_noise: standard deviation of the noise of pixels, which lie within 0..1.
        audio_noise: loudness of white noise as a multiple of the recording's; by default 2 for people and 4 for machine
            voices, which are easier, so that neither input alone is enough.
        present: share of the training samples that have an input, by its name; all of them by default.
        bands: bands of the spectrogram.
        batch_size: samples per training step and process.
        eval_batch_size: samples per validation and test step.
        num_workers: loader processes; the samples are in memory, so 0 is best.
        seed: seed of pairs, of noise, of machine voices and of the order.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        modalities: Sequence[Modality] = ("image", "audio"),
        for_teachers: Sequence[Modality] = (),
        num_train: int = 2400,
        num_val: int = 300,
        num_test: int = 300,
        pixel_noise: float = 0.45,
        audio_noise: float | None = None,
        present: dict[Modality, float] | None = None,
        bands: int = 40,
        batch_size: int = 64,
        eval_batch_size: int | None = 150,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(root), batch_size, eval_batch_size, num_workers, seed)
        if audio_noise is None:
            audio_noise = 4.0 if root is None else 2.0
        if min(num_train, num_val, num_test) < 1 or min(pixel_noise, audio_noise) < 0:
            raise ValueError(
                f"num_train={num_train}, num_val={num_val} and num_test={num_test} must be at least 1, "
                f"pixel_noise={pixel_noise} and audio_noise={audio_noise} at least 0."
            )
        self.root = None if root is None else Path(root)
        self.counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
        self.noise: dict[str, float] = {"image": pixel_noise, "audio": audio_noise}
        self.inputs = self.declare_inputs(modalities, present, bands, for_teachers)
        self.present = dict(present or {})
        for name, share in self.present.items():
            if name not in self.inputs or not 0 < share <= 1:
                raise ValueError(
                    f"present has {name}: {share}; expected a share above 0 and at most 1 of {', '.join(self.inputs)}."
                )

    @classmethod
    def declare_tasks(cls, root: str | Path | None = None, **_: Any) -> dict[str, Task]:
        return {
            "digit": Task("digit", "classification", 10),
            "speaker": Task("speaker", "classification", class_names=tuple(VOICES) if root is None else SPEAKERS),
            "ink": Task("ink", "regression"),
        }

    @classmethod
    def declare_inputs(
        cls,
        modalities: Sequence[Modality] = ("image", "audio"),
        present: dict[Modality, float] | None = None,
        bands: int = 40,
        for_teachers: Sequence[Modality] = (),
        **_: Any,
    ) -> Inputs:
        known = {
            "image": InputSpec("image", "image", channels=1, optional="image" in (present or {})),
            "audio": InputSpec("audio", "audio", channels=bands, rate=RATE, optional="audio" in (present or {})),
        }
        known = {name: replace(spec, for_teachers=name in for_teachers) for name, spec in known.items()}
        if not modalities or set(modalities) - set(known):
            raise ValueError(f"modalities={list(modalities)} must be among {', '.join(known)}, at least one.")
        if not set(for_teachers) < set(modalities):
            raise ValueError(
                f"for_teachers={list(for_teachers)} must be some of modalities={list(modalities)}, and not all of them."
            )
        return {name: spec for name, spec in known.items() if name in modalities}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"num_train": 8, "num_val": 4, "num_test": 4}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._pairs(split))

    def _pairs(self, split: str) -> "PairSet":
        number = _SPLITS.index(split)
        waves, digits, speakers = self._recordings(split, number)
        rng = np.random.default_rng([self.seed, number, 1])
        images_N88, classes_N = _pictures(split)
        samples = []
        for index, (wave_T, digit, speaker) in enumerate(zip(waves, digits, speakers, strict=True)):
            image_88 = images_N88[rng.choice(np.flatnonzero(classes_N == digit))]
            noisy_88 = np.clip(image_88 + self.noise["image"] * rng.normal(size=image_88.shape), 0, 1)
            loudness = float(wave_T.square().mean().sqrt())
            hiss_T = torch.from_numpy(rng.normal(size=len(wave_T))).float() * loudness
            values: Sample = {
                "image": torch.from_numpy(noisy_88).float()[None],
                "audio": wave_T + self.noise["audio"] * hiss_T,
            }
            drawn = dict(zip(("image", "audio"), rng.random(2).tolist(), strict=True))
            shares = self.present if split == "train" else {}
            kept = [name for name in self.inputs if drawn[name] < shares.get(name, 1.0)]  # type: ignore[call-overload]
            # a sample without any input would teach nothing
            kept = kept or [max(self.inputs, key=lambda name: shares.get(name, 1.0))]  # type: ignore[call-overload]
            samples.append(
                {name: values[name] for name in kept}
                | {"digit": digit, "speaker": speaker, "ink": torch.tensor(image_88.mean()).float()}
                | {"sample_id": index}
            )
        return PairSet(samples)

    def _recordings(self, split: str, number: int) -> tuple[list[Tensor], list[int], list[int]]:
        if self.root is not None:
            data = SpokenDigits(self.root)
            data.setup("test" if split == "test" else "fit")
            found = [getattr(data, f"{split}_set")[i] for i in range(len(getattr(data, f"{split}_set")))]
            return [s["audio"] for s in found], [int(s["digit"]) for s in found], [int(s["speaker"]) for s in found]
        rng = np.random.default_rng([self.seed, number, 0])
        digits = rng.integers(10, size=self.counts[split]).tolist()
        speakers = rng.integers(len(VOICES), size=self.counts[split]).tolist()
        voices = list(VOICES.values())
        waves = [speak([d], voices[s], rng)[0] for d, s in zip(digits, speakers, strict=True)]
        return waves, digits, speakers


class PairSet(Dataset[Sample]):
    """Samples in memory.

    Args:
        samples: the samples.
    """

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return dict(self.samples[index])


@cache
def _all_pictures() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    bunch = load_digits()
    # the file is in the order of its writers; the same writers are in all splits
    order = np.random.default_rng(0).permutation(len(bunch.images))
    return bunch.images[order] / 16, bunch.target[order]


def _pictures(split: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    images_N88, classes_N = _all_pictures()
    return images_N88[_PICTURES[split]], classes_N[_PICTURES[split]]
