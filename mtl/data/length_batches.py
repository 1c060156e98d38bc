"""Batches of samples of similar length, so that little of a batch is padding; a function of (seed, epoch, lengths).

Every process plans the batches of all ranks and takes its share. So step k of N ranks has the samples of step k of one
rank with an N times larger batch, all ranks have equally many batches, and every epoch has as many as the first.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mtl.data.mixed.plan import draws_of, shares_of, stream
from mtl.data.sampling import EpochSampler
from mtl.inputs.tokens import STEPS_MULTIPLE

Batch = list[tuple[int, int, bool]]  # epoch, index, whether the sample counts


class LengthBatches(EpochSampler):
    """Yields whole batches of this rank; for a loader without a batch size.

    Samples are drawn at random among those that are padded to the same length; the order of the batches is random.

    Args:
        dataset: the data set.
        lengths: steps of every sample.
        batch_size: most samples of a batch and rank.
        batch_tokens: most steps of a batch and rank, padding included; no limit by default.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.
        groups: number of the group of every sample, such as its language, from 0 on.
        temperature: 1 draws every sample once in an epoch; above it, small groups more often and large ones less: a
            group's share is its size to the power of 1 / temperature. It needs groups.

    Raises:
        ValueError: if the lengths or groups do not fit the data set, or a limit or the temperature is below 1.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        lengths: Sequence[int],
        batch_size: int,
        batch_tokens: int | None = None,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        groups: Sequence[int] | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(dataset, seed, num_replicas, rank)
        if len(lengths) != len(dataset):  # type: ignore[arg-type]
            raise ValueError(f"{len(lengths)} lengths do not fit {len(dataset)} samples.")  # type: ignore[arg-type]
        if batch_size < 1 or (batch_tokens is not None and batch_tokens < 1):
            raise ValueError(f"batch_size={batch_size} and batch_tokens={batch_tokens} must be at least 1.")
        self.padded = -(-np.maximum(np.asarray(lengths), 1) // STEPS_MULTIPLE) * STEPS_MULTIPLE
        self.members: list[NDArray[np.int64]] = []  # samples of every group; none where each comes once
        if temperature != 1:
            if temperature < 1 or groups is None or len(groups) != len(lengths) or batch_tokens is not None:
                raise ValueError(
                    f"temperature={temperature} must be at least 1, needs a group for each of the {len(lengths)} "
                    "samples, and goes without batch_tokens: with it, epochs would differ in their number of batches."
                )
            places = np.asarray(groups)
            self.members = [np.flatnonzero(places == group) for group in np.unique(places)]
            sizes = {str(group): len(of_group) for group, of_group in enumerate(self.members)}
            self.draws = draws_of(shares_of("temperature", sizes, temperature), len(lengths))
        self.ends = _ends(np.sort(self.padded), batch_size * num_replicas, (batch_tokens or 0) * num_replicas)

    def __len__(self) -> int:
        return len(self.ends)

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of all ranks together, in their order.

        Args:
            epoch: the epoch.
        """
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self._drawn(epoch))
        order = order[np.argsort(self.padded[order], kind="stable")]
        batches = np.split(order, self.ends[:-1])
        return [batches[place] for place in rng.permutation(len(batches))]

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        if not self.members:
            return np.arange(len(self.padded))
        streams = (
            of_group[stream(self.seed, epoch, group, len(of_group), int(draws))]
            for group, (of_group, draws) in enumerate(zip(self.members, self.draws, strict=True))
            if draws
        )
        return np.concatenate(list(streams))

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        done = self.skipped[1] if self.skipped[0] == self.epoch else 0
        for batch in self.plan(self.epoch)[done:]:
            own = batch[self.rank :: self.num_replicas]
            draws = [(self.epoch, int(index), True) for index in own]
            # a rank that goes short gets a sample without labels, so that all ranks have equally many
            short = -(-len(batch) // self.num_replicas) - len(own)
            yield draws + [(self.epoch, int(batch[0]), False)] * short


def _ends(sorted_lengths: NDArray[np.int64], most_samples: int, most_steps: int) -> list[int]:
    """Where batches end in samples sorted by length; the longest sample of a batch is its last one."""
    ends, start = [], 0
    for place, length in enumerate(sorted_lengths):
        count = place - start
        if count and (count + 1 > most_samples or (most_steps and (count + 1) * length > most_steps)):
            ends.append(place)
            start = place
    return [*ends, len(sorted_lengths)]
