"""Samples of two splits that are made from the same recording, sentence or picture file.

What training has seen is no test: a copy makes the numbers of the other split too good.
"""

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import Tensor

from mtl.errors import printable
from mtl.inputs.input import input_kind
from mtl.task import Inputs

_NAMED = 3  # samples in a message


@dataclass(frozen=True)
class SampleSource:
    """What a sample is made from; a data set says it with `sample_sources(inputs)`, one a sample or None.

    Args:
        key: equal for samples from the same recording, sentence or file.
        name: what people know it by.
        exact: nobody makes it twice, as a recording or a picture; two sentences may be alike by chance.
    """

    key: Hashable
    name: str
    exact: bool


@dataclass(frozen=True)
class SplitLeak:
    """Samples of one split that another one has too.

    Args:
        first: the split that comes first, such as `train`.
        second: the other split.
        pairs: indices of the same sample in both.
        number: samples of the second split.
        names: of the samples, for a message.
        exact: whether all of them are of a kind that nobody makes twice.
    """

    first: str
    second: str
    pairs: list[tuple[int, int]]
    number: int
    names: list[str]
    exact: bool

    @property
    def text(self) -> str:
        """What was found, and what to do."""
        listed = ", ".join(repr(printable(name, 60)) for name in self.names[:_NAMED])
        listed += ", ..." if len(self.names) > _NAMED else ""
        return (
            f"{len(self.pairs):,} of {self.number:,} samples of {self.second} are also in {self.first}: {listed}. What "
            f"training or validation has seen makes the numbers of {self.second} too good; keep each in one split."
        )


def split_leaks(splits: Mapping[str, Any], inputs: Inputs) -> Iterator[SplitLeak]:
    """What two splits have in common, as far as their data sets say what their samples are made from.

    Args:
        splits: data sets by split, the training first.
        inputs: what the samples feed; labels may differ.
    """
    known: dict[str, list[SampleSource | None]] = {
        split: dataset.sample_sources(inputs) for split, dataset in splits.items() if hasattr(dataset, "sample_sources")
    }
    for first, second in combinations(known, 2):
        there = {source.key: index for index, source in enumerate(known[first]) if source is not None}
        both = [(there[one.key], i, one) for i, one in enumerate(known[second]) if one is not None and one.key in there]
        if both:
            names = list(dict.fromkeys(source.name for _, _, source in both))
            pairs, exact = [(i, j) for i, j, _ in both], all(source.exact for _, _, source in both)
            yield SplitLeak(first, second, pairs, len(known[second]), names, exact)


def sample_source(sample: Mapping[str, Any], inputs: Inputs, name: str) -> SampleSource:
    """The source of a sample, which its inputs identify, byte for byte.

    Args:
        sample: the sample.
        inputs: the inputs; a sample of a mix may lack some.
        name: what people know it by.
    """
    digest, exact = hashlib.blake2b(digest_size=16), False
    for key, spec in inputs.items():
        value = sample.get(key)
        if isinstance(value, Tensor):
            digest.update(key.encode() + value.contiguous().numpy().tobytes())
            exact |= input_kind(spec).unrepeatable
    return SampleSource(digest.digest(), name, exact)
