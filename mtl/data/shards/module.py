"""`ShardedData`: any data set of ours from shards, in a folder or a bucket, with the order drawn by step.

Why litdata and not webdataset: it is the better kept (0.2.76 of September 2026, 14 releases since January; webdataset
1.0.2 is of June 2025), and its index says which sample is in which shard, so any sample can be read by its number.
webdataset is lighter (2 packages against 9, botocore among them), but a tar file is read from front to end: where a run
stopped is then the position of every worker, and its authors advise resampling instead of exact resume. With access by
number our own sampler serves: bit-exact resume and the same samples on N ranks as on one, with any number of workers.
Shapes: N samples.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mtl.batch import Batch
from mtl.data.module import JointDataModule
from mtl.data.sampling import Draw, EpochSampler, ResumableLoader, TrainingView
from mtl.data.shards.shard_set import ShardSet, fetch_text
from mtl.errors import did_you_mean
from mtl.task import Task

TASKS = "tasks.json"
_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class TaskFields(TypedDict):
    """A task in a config, where its name is the key."""

    # typed, so that a class called '0' or 'no' stays a word in the config that a run saves
    kind: str
    class_names: NotRequired[list[str]]
    num_classes: NotRequired[int]


class ShardedData(JointDataModule):
    """Samples in shards, as `python -m mtl.cli.write_shards` makes them; it writes a config, too.

    Ranks share every shard instead of dividing them, which is what makes N ranks equal one: each machine downloads the
    whole set once, into `cache_dir`. A mosaic takes pictures from anywhere, so with an address it wants `cache_dir` to
    be filled.

    Args:
        root: folder with `tasks.json` and the shards in `train`, `val` and `test`, or its address: `s3://...`,
            `gs://...`, `azure://...`, `r2://...`, `hf://...`.
        tasks: every task of the samples by name, each with its `kind` and `class_names` (or `num_classes`).
        shuffle_shards: shards that are mixed with each other: their order is drawn, then that of all samples in each
            group of so many. `null` mixes everything, in the order that the data set had before it was in shards.
        cache_dir: where shards from an address are kept; `~/.cache/mtl/shards` by default. Nothing there is deleted.
        verify_shards: read every sample once at the start, to find damage inside of shards.
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
            raise ValueError(f"shuffle_shards={shuffle_shards} must be at least 1, or null to mix all of them.")
        self.root = root.rstrip("/")
        self.shuffle_shards = shuffle_shards
        self.cache_dir = Path(cache_dir) if cache_dir else Path.home() / ".cache" / "mtl" / "shards"
        self.verify_shards = verify_shards

    @classmethod
    def declare_tasks(cls, *, tasks: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Task]:
        declared = {}
        for name, spec in (tasks or {}).items():
            for key in spec:
                if key not in TaskFields.__annotations__:
                    known = ", ".join(TaskFields.__annotations__)
                    raise ValueError(
                        f"task {name!r} has a field {key!r}; there are {known}."
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

    def train_dataloader(self) -> DataLoader[Batch]:
        if self.shuffle_shards is None:
            return super().train_dataloader()
        view = TrainingView(self.train_set, self.tasks, self.augment, self.seed)
        num_replicas, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        assert isinstance(self.train_set, ShardSet)
        sampler = ShardSampler(self.train_set, self.shuffle_shards, self.seed, num_replicas, rank)
        drop_last = len(sampler) >= self.batch_size
        options = self._loader_options()
        loader = ResumableLoader(view, self.batch_size, sampler=sampler, drop_last=drop_last, **options)
        if self._resumed:
            loader.load_state_dict(self._resumed)
            self._resumed = {}
        self._train_loader = loader
        return loader

    def _check_tasks(self) -> None:
        text = fetch_text(self.root, TASKS, self.cache_dir)
        try:
            written = self.declare_tasks(tasks=json.loads(text))
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"{self.root}/{TASKS} is damaged ({error}). Copy it or write the shards again.") from error
        for name, task in self.tasks.items():
            if written.get(name) != task:
                raise ValueError(
                    f"data.tasks says {task}, {self.root}/{TASKS} "
                    + (f"says {written[name]}." if name in written else f"has {', '.join(written)}.")
                    + f"{did_you_mean(name, written)} Take the tasks from the config beside the shards."
                )


class ShardSampler(EpochSampler):
    """Every sample once per epoch: shards in an order drawn from (seed, epoch), mixed in groups; dealt in turn.

    Only the shards of one group are read at a time; those of the next are asked for ahead.

    Args:
        shards: the data set.
        group: how many shards are mixed with each other.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.
    """

    def __init__(self, shards: ShardSet, group: int, seed: int = 0, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(shards, seed, num_replicas, rank)
        self.shards = shards
        self.group = group

    def __iter__(self) -> Iterator[Draw]:
        groups, orders = self._order()
        order = np.resize(np.concatenate(orders), self.total_size)
        group_of = np.resize(np.repeat(np.arange(len(orders)), [len(part) for part in orders]), self.total_size)
        done = self.skipped[1] if self.skipped[0] == self.epoch else 0
        mine = slice(self.rank + done * self.num_replicas, None, self.num_replicas)
        entered = -1
        for index, group in zip(order[mine], group_of[mine], strict=True):
            if group > entered:
                entered = int(group)
                for ahead in groups[entered : entered + 2]:
                    self.shards.fetch_ahead(ahead.tolist())
            yield self.epoch, int(index)

    def _order(self) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """The shards of every group, and its samples in the order in which they are read."""
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
