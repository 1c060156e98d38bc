"""`JoinedWaves`: recordings joined to longer ones, with silence around and between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.audio.wav_file import resample
from mtl.inputs.audio import hop
from mtl.task import InputSpec


@dataclass(frozen=True)
class Joined:
    """How one sample is made.

    Args:
        parts: places of its recordings.
        pauses: values of silence before, between and behind them: one more than there are parts.
        speed: the whole is said so many times faster and higher.
    """

    parts: tuple[int, ...]
    pauses: tuple[int, ...]
    speed: float = 1.0


class JoinedWaves(Dataset[Sample]):
    """Samples of one input of audio; each is joined when it is asked for, so that only the recordings are in memory.

    Every recording is brought to the same loudness before, as if one person had said the whole.

    Args:
        waves: the recordings, float32 [T] each.
        plans: how the samples are made of them.
        spec: the input.
        targets: for each task one target a sample.
    """

    def __init__(
        self, waves: Sequence[Tensor], plans: Sequence[Joined], spec: InputSpec, targets: Mapping[str, Sequence[Any]]
    ) -> None:
        self.waves = [wave / (wave.square().mean().sqrt() + 1e-5) * 0.1 for wave in waves]
        self.plans = plans
        self.spec = spec
        self.targets = targets
        # frames; batches of similar length
        self.lengths = [self._frames(plan) for plan in plans]

    def __len__(self) -> int:
        return len(self.plans)

    def __getitem__(self, index: int) -> Sample:
        plan = self.plans[index]
        pieces = [torch.zeros(plan.pauses[0])]
        for part, pause in zip(plan.parts, plan.pauses[1:], strict=True):
            pieces += [self.waves[part], torch.zeros(pause)]
        wave = torch.cat(pieces)
        # whole frames on both sides: a Fourier transform of a large prime length takes five times as long
        wave = F.pad(wave, (0, -len(wave) % hop(self.spec)))
        wave = resample(wave, len(wave), self._frames(plan) * hop(self.spec))
        return {self.spec.name: wave, "sample_id": index} | {task: rows[index] for task, rows in self.targets.items()}

    def _frames(self, plan: Joined) -> int:
        values = sum(len(self.waves[part]) for part in plan.parts) + sum(plan.pauses)
        frames = -(-values // hop(self.spec))
        return frames if plan.speed == 1 else max(1, round(frames / plan.speed))
