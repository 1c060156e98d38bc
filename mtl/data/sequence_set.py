"""`SequenceSet`: samples of sequences, kept in memory."""

from collections.abc import Mapping, Sequence

from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.split_leaks import SampleSource, sample_source
from mtl.task import Inputs


class SequenceSet(Dataset[Sample]):
    """Samples that each hold a sequence, such as a sentence or a recording.

    Args:
        samples: inputs and targets of each.
        lengths: steps of each; batches of similar length are made of them.
        texts: what people know each by.
        subgroups: for each column of subgroups the name of each sample's group.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        lengths: Sequence[int],
        texts: Sequence[str],
        subgroups: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.samples = [{**sample, "sample_id": index} for index, sample in enumerate(samples)]
        self.lengths = lengths
        self.texts = texts
        self.subgroups = dict(subgroups or {})

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return dict(self.samples[index])

    def text(self, index: int) -> str:
        """What people know a sample by.

        Args:
            index: which one; `sample_id` in a batch.
        """
        return self.texts[index]

    def sample_sources(self, inputs: Inputs) -> list[SampleSource]:
        """The source of each sample: its words or its sound.

        Args:
            inputs: of the samples.
        """
        return [sample_source(sample, inputs, text) for sample, text in zip(self.samples, self.texts, strict=True)]
