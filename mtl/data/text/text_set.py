"""`TextSet`: sentences of words with their targets, encoded once and kept in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.inputs.input import input_kind
from mtl.task import Inputs


class TextSet(Dataset[Sample]):
    """Samples with every input that the words of a sentence give, and the targets of the tasks.

    Args:
        sentences: the words of each sentence.
        inputs: the inputs, whose kinds read words.
        targets: for each task one target a sentence; None where a sentence has no label of it.
        groups: number of the group of every sentence, such as its language.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        inputs: Inputs,
        targets: Mapping[str, Sequence[Any]],
        groups: Sequence[int] | None = None,
    ) -> None:
        self.sentences = sentences
        readers = {name: input_kind(spec).reader(spec) for name, spec in inputs.items()}
        self.samples = [
            {name: read(words) for name, read in readers.items()}
            | {task: values[row] for task, values in targets.items() if values[row] is not None}
            | {"sample_id": row}
            for row, words in enumerate(sentences)
        ]
        self.groups = groups
        self.lengths = [len(words) for words in sentences]  # batches of similar length are made of them

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return dict(self.samples[index])

    def text(self, index: int) -> str:
        """A sentence as people read it.

        Args:
            index: which one; `sample_id` in a batch.
        """
        return " ".join(self.sentences[index])
