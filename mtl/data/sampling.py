"""Order and random numbers of training samples as pure functions of (seed, epoch, index).

They do not depend on the number of workers, on earlier runs, or on interruptions: the order depends on (seed, epoch),
the augmentation of a sample on (seed, epoch, index) and on how often it came before in the epoch, and a loader restored
in the middle of an epoch skips the batches that are done.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from mtl.batch import Batch, Sample
from mtl.data.augment.augment import Augment
from mtl.task import Task

_AGAIN = 2**32  # more than there are epochs
Draw = tuple[int, int]  # epoch, and _AGAIN for each time that the sample came before in it; index
Drawn = tuple[int, int, bool]  # epoch, index, whether the sample counts: its labels are hidden where not


class EpochSampler(DistributedSampler[Draw | Drawn]):
    """Every sample once per epoch, in an order that depends on (seed, epoch), distributed to the ranks in turn.

    So step k of N ranks has the same samples as step k of one rank with an N times larger batch. The class is a
    `DistributedSampler` so that Lightning does not replace it and calls `set_epoch`.

    Args:
        dataset: the data set.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.
        num_draws: draws of an epoch on all ranks; as many as samples by default.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        num_draws: int | None = None,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=True, seed=seed)
        self.num_draws = len(dataset) if num_draws is None else num_draws  # type: ignore[arg-type]
        self.num_samples = -(-self.num_draws // num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.skipped: Draw = (0, 0)  # epoch, items of this sampler done in it: samples, or whole batches

    def only_full_batches(self, batch_size: int) -> bool:
        """Leave out the last draws that fill no batch on all ranks; returns whether there are batches without them.

        A rank by itself cannot: draws that are dealt in turn may fill the last batch of one rank and not of the next.

        Args:
            batch_size: of a rank.
        """
        batches = self.num_draws // (batch_size * self.num_replicas)
        if batches:
            self.num_samples = batches * batch_size
            self.total_size = self.num_samples * self.num_replicas
        return batches > 0

    def order(self) -> NDArray[np.int64]:
        """The samples of an epoch on all ranks, as many as draws."""
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.num_draws)

    def places(self) -> range:
        """The places in the order that this rank draws; beyond its end the order begins again."""
        done = self.skipped[1] if self.skipped[0] == self.epoch else 0
        return range(self.rank + done * self.num_replicas, self.total_size, self.num_replicas)

    def draw(self, order: NDArray[np.int64], place: int, again: int = 0) -> Draw | Drawn:
        """One draw; so that all ranks have as many, some come again, without labels: they would count twice.

        Args:
            order: what `order` gives.
            place: one of `places`.
            again: how often the sample came before in this epoch; each time it is augmented in another way.
        """
        epoch, index = self.epoch + again * _AGAIN, int(order[place % len(order)])
        return (epoch, index) if place < self.num_draws else (epoch, index, False)

    def __iter__(self) -> Iterator[Draw | Drawn]:
        order = self.order()
        again = times_before(order)
        for place in self.places():
            yield self.draw(order, place, int(again[place % len(order)]))


def times_before(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each place of an order how often its sample comes before that place.

    Args:
        order: indices of samples.
    """
    places = np.argsort(order, kind="stable")
    starts = np.flatnonzero(np.diff(order[places], prepend=-1))
    before = np.empty(len(order), np.int64)
    before[places] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return before


class TrainingView(Dataset[Any]):
    """A data set with augmentation, indexed by (epoch, index); a list of these gives a list of samples.

    Args:
        dataset: the data set.
        tasks: all tasks of its samples, by name.
        augment: the augmentation, or None.
        seed: seed of the augmentation.
    """

    def __init__(self, dataset: Dataset[Sample], tasks: Mapping[str, Task], augment: Augment | None, seed: int) -> None:
        self.dataset = dataset
        self.tasks = tasks
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, draw: Draw | Drawn | int | Sequence[Draw | Drawn]) -> Sample | list[Sample]:
        if isinstance(draw, list):
            return [self._sample(*each) for each in draw]
        # a plain index comes from other samplers, for example with Lightning's `overfit_batches`
        return self._sample(0, draw) if isinstance(draw, int) else self._sample(*draw)

    def _sample(self, epoch: int, index: int, counts: bool = True) -> Sample:
        sample = self._augmented(epoch, index)
        return sample if counts else unlabelled(sample, self.tasks)

    def _augmented(self, epoch: int, index: int) -> Sample:
        if self.augment is None:
            return self.dataset[index]
        # the 1 makes these numbers different from the sampler's
        return self.augment(self.dataset, index, self.tasks, np.random.default_rng([self.seed, epoch, index, 1]))


class OnceSampler(DistributedSampler[tuple[int, bool]]):
    """Every sample once over all ranks, for evaluation: yields (index, whether the sample counts).

    All ranks get the same number of samples, so no collective operation hangs; samples that pad the last round do not
    count. The class is a `DistributedSampler` so that Lightning does not insert its sampler, which counts samples
    twice.

    Args:
        dataset: the data set.
        num_replicas: number of ranks.
        rank: this rank.
    """

    def __init__(self, dataset: Dataset[Any], num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        size = len(self.dataset)  # type: ignore[arg-type]
        for index in range(self.rank, self.total_size, self.num_replicas):
            yield index % size, index < size


class OnceView(Dataset[Sample]):
    """A data set for `OnceSampler`: samples that do not count have no labels, so metrics and losses ignore them.

    Args:
        dataset: the data set.
        tasks: all tasks of its samples, by name.
    """

    def __init__(self, dataset: Dataset[Sample], tasks: Mapping[str, Task]) -> None:
        self.dataset = dataset
        self.tasks = tasks

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, draw: tuple[int, bool] | int) -> Sample:
        index, counts = (draw, True) if isinstance(draw, int) else draw
        sample = self.dataset[index]
        return sample if counts else unlabelled(sample, self.tasks)


def unlabelled(sample: Sample, tasks: Mapping[str, Task]) -> Sample:
    """A sample that says of every task that it is not labelled.

    Args:
        sample: the sample.
        tasks: all tasks, by name.
    """
    return {**sample, **{task.labelled_field: False for task in tasks.values()}}


class ResumableLoader(DataLoader[Batch]):
    """A loader that resumes in the middle of an epoch; its sampler must be an `EpochSampler`.

    Lightning saves its state in checkpoints.
    """

    batches = 0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        sampler = self.sampler
        iterator = super().__iter__()
        resumed = isinstance(sampler, EpochSampler) and sampler.skipped[0] == sampler.epoch
        self.batches = sampler.skipped[1] // (self.batch_size or 1) if resumed else 0  # type: ignore[attr-defined]
        for batch in iterator:
            self.batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch, the batches yielded in it and the batches it has, and the samples of a batch on all ranks."""
        epoch = self.sampler.epoch if isinstance(self.sampler, EpochSampler) else 0
        return {"epoch": epoch, "batches": self.batches, "of": len(self), **self._sizes()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume after the batches that were yielded.

        Args:
            state: result of `state_dict`.

        Raises:
            ValueError: if they were batches of another size, in the middle of an epoch.
        """
        now = self._sizes()
        then = {name: state.get(name, size) for name, size in now.items()}
        unfinished = 0 < state["batches"] < state.get("of", len(self))
        if unfinished and then["ranks"] * then["batch_size"] != now["ranks"] * now["batch_size"]:
            total = then["ranks"] * then["batch_size"]
            fits = f"data.batch_size to {total // now['ranks']}" if total % now["ranks"] == 0 else "the same devices"
            raise ValueError(
                f"the checkpoint was saved after {state['batches']} of {state.get('of', '?')} batches of an epoch, "
                f"with {then['batch_size']} samples on each of {then['ranks']} ranks; this run has {now['batch_size']} "
                f"on each of {now['ranks']}, so samples of the epoch would be left out or seen twice. Set {fits}, so "
                f"that a step has {total} samples, or resume from a checkpoint at the end of an epoch."
            )
        if isinstance(self.sampler, EpochSampler):
            self.batches = state["batches"]
            # without a batch size, the sampler yields batches
            self.sampler.skipped = (state["epoch"], state["batches"] * (self.batch_size or 1))

    def _sizes(self) -> dict[str, int]:
        ranks = self.sampler.num_replicas if isinstance(self.sampler, EpochSampler) else 1
        return {"batch_size": self.batch_size or 1, "ranks": ranks}
