"""`TextSet`: sentences of words with their targets, encoded once and kept in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl.data.sequence_set import SequenceSet
from mtl.inputs.input import input_kind
from mtl.task import Inputs


class TextSet(SequenceSet):
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
        readers = {name: input_kind(spec).reader(spec) for name, spec in inputs.items()}
        samples = [
            {name: read(words) for name, read in readers.items()}
            | {task: values[row] for task, values in targets.items() if values[row] is not None}
            for row, words in enumerate(sentences)
        ]
        super().__init__(samples, [len(words) for words in sentences], [" ".join(words) for words in sentences])
        self.groups = groups
