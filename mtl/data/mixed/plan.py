"""The order of samples from several data sets: a pure function of (seed, epoch), spread evenly over the epoch.

Every part is a stream of permutations that continues from epoch to epoch, so each of its samples is seen equally often
whatever its share. Any stretch of an epoch holds the parts in about their shares.
Shapes: P parts, L draws of an epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl.data.sampling import EpochSampler

Numbers = NDArray[np.int64]


def shares_of(ratio: str | Mapping[str, float], sizes: Mapping[str, int], temperature: float) -> NDArray[np.float64]:
    """The share of each part in an epoch, [P], summing to 1.

    Args:
        ratio: `size`, `equal`, `temperature` (size to the power of 1 / temperature), or a number for every part.
        sizes: number of training samples of every part.
        temperature: 1 is `size`, infinite is `equal`.
    """
    counts = np.array(list(sizes.values()), float)
    if isinstance(ratio, Mapping):
        weights = np.array([float(ratio[name]) for name in sizes])
    elif ratio == "temperature":
        weights = (counts / counts.sum()) ** (1 / temperature)
    else:
        weights = counts if ratio == "size" else np.ones(len(counts))
    return np.asarray(weights / weights.sum())


def draws_of(shares_P: NDArray[np.float64], total: int) -> Numbers:
    """How many draws of an epoch each part gets: whole numbers of the right sum, by the largest remainders.

    Args:
        shares_P: summing to 1.
        total: L.
    """
    exact = shares_P * total
    counts = np.floor(exact + 1e-9).astype(np.int64)
    first = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[first] += 1
    return counts


class MixedSampler(EpochSampler):
    """Draws of an epoch over the concatenation of several parts, distributed to the ranks in turn.

    Args:
        dataset: the concatenation.
        sizes_P: number of samples of every part, in the order of the concatenation.
        draws_P: draws of every part in an epoch.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.
    """

    def __init__(
        self, dataset: Any, sizes_P: Sequence[int], draws_P: Sequence[int], seed: int, num_replicas: int, rank: int
    ) -> None:
        super().__init__(dataset, seed, num_replicas, rank, num_draws=sum(draws_P))
        self.sizes_P = np.array(sizes_P, np.int64)
        self.draws_P = np.array(draws_P, np.int64)

    def order(self) -> Numbers:
        starts = np.cumsum(self.sizes_P) - self.sizes_P
        members = [start + np.arange(size) for start, size in zip(starts, self.sizes_P, strict=True)]
        return spread_draws(self.seed, self.epoch, members, self.draws_P)


def spread_draws(seed: int, epoch: int, members: Sequence[Numbers], draws_P: Numbers) -> Numbers:
    """The draws of an epoch, [L]: each part's draws are spread evenly over it.

    Args:
        seed: of the order.
        epoch: the epoch.
        members: indices of the samples of every part.
        draws_P: draws of every part in an epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    indices, places = [], []
    for part, (own, draws) in enumerate(zip(members, draws_P, strict=True)):
        if draws:
            indices.append(own[stream(seed, epoch, part, len(own), int(draws))])
            # one draw in each of as many equal stretches of the epoch, anywhere in it
            places.append((np.arange(draws) + rng.random(draws)) / draws)
    return np.asarray(np.concatenate(indices)[np.argsort(np.concatenate(places), kind="stable")])


def stream(seed: int, epoch: int, part: int, size: int, draws: int) -> Numbers:
    """The samples of a part in an epoch: a stretch of an endless row of permutations.

    Args:
        seed: of the order.
        epoch: the epoch.
        part: number of the part.
        size: its samples.
        draws: how many of them an epoch has; at least 1.
    """
    first, last = epoch * draws, (epoch + 1) * draws
    cycles = range(first // size, (last - 1) // size + 1)
    # the 2 makes these numbers differ from the random numbers of the epoch and of the augmentation
    rows = [np.random.default_rng([seed, part, cycle, 2]).permutation(size) for cycle in cycles]
    skipped = first - cycles[0] * size
    return np.asarray(np.concatenate(rows)[skipped : skipped + draws])
