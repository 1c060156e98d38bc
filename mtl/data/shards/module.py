"""`ShardedData`: any data set of `mtl` from shards in a folder or a bucket, with the same exact resume.

Why litdata and not webdataset: litdata is better maintained (0.2.76 from September 2026, 14 releases since January;
webdataset 1.0.2 is from June 2025), and its index maps samples to shards, so samples can be read by index. webdataset
is lighter (2 packages against 9, including botocore), but reads tar files sequentially: the state of a run is then the
position of each worker, and its authors advise resampling instead of exact resume. With access by index, the sampler of
`mtl` works: bit-exact resume, and the same samples on N ranks as on one, with any number of workers.
Shapes: N samples.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from mtl.data.module import JointDataModule
from mtl.data.sampling import Draw, Drawn, EpochSampler
from mtl.data.shards.shard_set import ShardSet, fetch_text
from mtl.errors import did_you_mean
from mtl.task import Task

TASKS = "tasks.json"
_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class TaskFields(TypedDict):
    """A task in a config; its name is the key."""

    # typed, so that a class called '0' or 'no' stays a string in the saved config
    kind: str
    class_names: NotRequired[list[str]]
    num_classes: NotRequired[int]


class ShardedData(JointDataModule):
    """Samples in shards, as written by `python -m mtl.cli.write_shards`, which also writes a config.

    All ranks read all shards instead of dividing them, so N ranks see the same samples as one. Each machine therefore
    downloads the whole data set once, into `cache_dir`. A mosaic reads random samples, so with a remote `root`, fill
    `cache_dir` first.

    Args:
        root: folder with `tasks.json` and the shards in `train`, `val` and `test`, or its address: `s3://...`,
            `gs://...`, `azure://...`, `r2://...`, `hf://...`.
        tasks: all tasks of the samples by name, each with its `kind` and `class_names` (or `num_classes`).
        shuffle_shards: number of shards per group. Each epoch shuffles the shards, then the samples within each group.
            `null` shuffles all samples, in the same order as the data set without shards.
        cache_dir: folder for downloaded shards; `~/.cache/mtl/shards` by default. Files in it are never deleted.
        verify_shards: read each sample once at the start, to detect damaged shards.
        **kwargs: arguments of `JointDataModule`.
    """

    def __init__(
        self,
        root: str,
        tasks: dict[str, TaskFields],
        shuffle_shards: int | None = 8,
        cache_dir: str | None = None,
        verify_shards: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(self.declare_tasks(tasks=tasks), **kwargs)
        if shuffle_shards is not None and shuffle_shards < 1:
            raise ValueError(f"shuffle_shards={shuffle_shards} must be at least 1, or null to shuffle all samples.")
        self.root = root.rstrip("/")
        self.shuffle_shards = shuffle_shards
        self.cache_dir = Path(cache_dir) if cache_dir else Path(os.path.expanduser("~/.cache/mtl/shards"))
        self.verify_shards = verify_shards

    @classmethod
    def declare_tasks(cls, *, tasks: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Task]:
        declared = {}
        for name, spec in (tasks or {}).items():
            for key in spec:
                if key not in TaskFields.__annotations__:
                    known = ", ".join(TaskFields.__annotations__)
                    raise ValueError(
                        f"task {name!r} has an unknown field {key!r}; fields are {known}."
                        f"{did_you_mean(key, TaskFields.__annotations__)}"
                    )
            if "kind" not in spec:
                raise ValueError(f"task {name!r} needs its `kind`, such as detection or classification.")
            declared[name] = Task(name, **spec)
        return declared

    def setup(self, stage: str) -> None:
        for split in _STAGES[stage]:
            if not hasattr(self, f"{split}_set"):
                self._check_tasks()
                shards = ShardSet(f"{self.root}/{split}", self.cache_dir)
                if self.verify_shards:
                    shards.verify()
                setattr(self, f"{split}_set", shards)

    def _training_sampler(self, num_replicas: int, rank: int) -> EpochSampler:
        if self.shuffle_shards is None:
            return super()._training_sampler(num_replicas, rank)
        assert isinstance(self.train_set, ShardSet)
        return ShardSampler(self.train_set, self.shuffle_shards, self.seed, num_replicas, rank)

    def _check_tasks(self) -> None:
        text = fetch_text(self.root, TASKS, self.cache_dir)
        try:
            written = self.declare_tasks(tasks=json.loads(text))
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.root}/{TASKS} is damaged ({error}). Copy it again, or write the shards again."
            ) from error
        for name, task in self.tasks.items():
            if written.get(name) != task:
                raise ValueError(
                    f"data.tasks says {task}, {self.root}/{TASKS} "
                    + (f"says {written[name]}." if name in written else f"has {', '.join(written)}.")
                    + f"{did_you_mean(name, written)} Copy the tasks from the config beside the shards."
                )


class ShardSampler(EpochSampler):
    """Every sample once per epoch: shuffles shards by (seed, epoch), then samples within groups of shards.

    The ranks take samples in turn. Only the shards of one group are read at a time; the next group is prefetched.

    Args:
        shards: the data set.
        group: number of shards per group.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.
    """

    def __init__(self, shards: ShardSet, group: int, seed: int = 0, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(shards, seed, num_replicas, rank)
        self.shards = shards
        self.group = group

    def __iter__(self) -> Iterator[Draw | Drawn]:
        groups, orders = self._groups()
        order, group_of = np.concatenate(orders), np.repeat(np.arange(len(orders)), [len(part) for part in orders])
        entered = -1
        for place in self.places():
            if (group := int(group_of[place % len(order)])) > entered:
                entered = group
                for ahead in groups[entered : entered + 2]:
                    self.shards.fetch_ahead(ahead.tolist())
            yield self.draw(order, place)

    def order(self) -> NDArray[np.int64]:
        return np.concatenate(self._groups()[1])

    def _groups(self) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """The shards of each group, and its samples in reading order."""
        rng = np.random.default_rng([self.seed, self.epoch])
        sizes = self.shards.shard_sizes
        starts = np.cumsum(sizes) - sizes
        shards = rng.permutation(len(sizes))
        groups = [shards[first : first + self.group] for first in range(0, len(shards), self.group)]
        orders = []
        for group in groups:
            samples = np.concatenate([np.arange(starts[shard], starts[shard] + sizes[shard]) for shard in group])
            orders.append(rng.permutation(samples))
        return groups, orders
