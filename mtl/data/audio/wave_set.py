"""`WaveSet`: waveforms with their targets, kept in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.inputs.audio import hop
from mtl.task import InputSpec


class WaveSet(Dataset[Sample]):
    """Samples of one input of audio, and the targets of the tasks.

    Args:
        waves: the waveforms, float32 [T] each.
        spec: the input.
        targets: for each task one target a waveform; None where one has no label of it.
        names: of the recordings, for tables of examples; their numbers by default.
    """

    def __init__(
        self,
        waves: Sequence[Tensor],
        spec: InputSpec,
        targets: Mapping[str, Sequence[Any]],
        names: Sequence[str] | None = None,
    ) -> None:
        self.names = names if names is not None else [f"recording {row}" for row in range(len(waves))]
        self.samples = [
            {spec.name: wave}
            | {task: values[row] for task, values in targets.items() if values[row] is not None}
            | {"sample_id": row}
            for row, wave in enumerate(waves)
        ]
        self.lengths = [-(-len(wave) // hop(spec)) for wave in waves]  # frames; batches of similar length

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return dict(self.samples[index])

    def text(self, index: int) -> str:
        """What people know a recording by.

        Args:
            index: which one; `sample_id` in a batch.
        """
        return self.names[index]
