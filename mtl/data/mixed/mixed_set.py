"""`MixedSet`: several data sets one after the other, with samples in the form of the mix."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.mixed.unify import Translation
from mtl.data.sampling import TrainingView
from mtl.data.split_leaks import SampleSource
from mtl.task import Inputs

PART = "mixed/part"  # sample and batch key: which part a sample comes from; no task can have that name
ABOUT_PICTURES = ("orig_size", "to_original")  # sample keys that are neither inputs nor labels


class PartSet(Dataset[Sample]):
    """One part, with its labels named as in the mix; keys that the mix does not know are left out.

    Args:
        dataset: samples of the part.
        number: which part it is.
        first: index of its first sample in the concatenation; `image_id` is unique through all parts.
        kept: keys of its samples that are no labels and stay: inputs, and what all parts say about pictures.
        translations: how each of its tasks becomes a task of the mix.
    """

    def __init__(
        self,
        dataset: Dataset[Sample],
        number: int,
        first: int,
        kept: Sequence[str],
        translations: Sequence[Translation],
    ) -> None:
        self.dataset = dataset
        self.number = number
        self.first = first
        self.kept = tuple(kept)
        self.translations = tuple(translations)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        own = self.dataset[index]
        sample = {key: own[key] for key in self.kept if key in own}
        sample |= {"image_id": self.first + index, PART: self.number}
        for translate in self.translations:
            sample |= translate(own)
        return sample


class MixedSet(Dataset[Sample]):
    """All parts of a split, one after the other.

    Args:
        parts: by name, in order.
    """

    def __init__(self, parts: Mapping[str, PartSet]) -> None:
        self.parts = dict(parts)
        self.ends = np.cumsum([len(part) for part in parts.values()])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Sample:
        part, own = self.locate(index)
        return part[own]

    def sample_sources(self, inputs: Inputs) -> list[SampleSource | None]:
        """What the samples of each part are made from, as far as the parts say it.

        Args:
            inputs: of the samples.
        """
        found: list[SampleSource | None] = []
        for name, part in self.parts.items():
            sources_of = getattr(part.dataset, "sample_sources", None)
            own = [None] * len(part) if sources_of is None else sources_of(inputs)
            found += [one and replace(one, key=(name, one.key)) for one in own]
        return found

    def locate(self, index: int) -> tuple[PartSet, int]:
        """The part of a sample, and its index there.

        Args:
            index: in the concatenation.
        """
        number = int(np.searchsorted(self.ends, index, side="right"))
        part = list(self.parts.values())[number]
        return part, index - part.first


class MixedTrainingView(TrainingView):
    """As `TrainingView`; a mosaic takes its four pictures from one part, or they would share no label."""

    def _augmented(self, epoch: int, index: int) -> Sample:
        assert isinstance(self.dataset, MixedSet)
        part, own = self.dataset.locate(index)
        if self.augment is None:
            return part[own]
        return self.augment(part, own, self.tasks, np.random.default_rng([self.seed, epoch, index, 1]))
