"""`WaveSet`: waveforms with their targets, kept in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mtl.data.sequence_set import SequenceSet
from mtl.inputs.audio import hop
from mtl.task import InputSpec


class WaveSet(SequenceSet):
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
        samples = [
            {spec.name: wave} | {task: values[row] for task, values in targets.items() if values[row] is not None}
            for row, wave in enumerate(waves)
        ]
        frames = [-(-len(wave) // hop(spec)) for wave in waves]
        super().__init__(samples, frames, names or [f"recording {row}" for row in range(len(waves))])
