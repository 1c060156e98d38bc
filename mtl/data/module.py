"""`JointDataModule`: the interface between a data set and the training loop.

A subclass sets up `train_set`, `val_set`, `test_set` (map-style, giving samples as `mtl.batch` describes), and says its
tasks and its inputs. Loaders, padding, shuffling and augmentation are here. A training set with `lengths` (steps of
each sample) is cut into batches of similar length.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mtl.batch import Batch, Sample, check_keys, collate
from mtl.data.adapt import adapt_inputs
from mtl.data.augment.augment import COLOR, Augment
from mtl.data.augment.color import apply_color
from mtl.data.balanced import BalancedSampler, check_balance
from mtl.data.class_counts import (
    classes_by_reading,
    give_class_counts,
    group_of_each,
    refuse_without_classes,
    training_classes,
)
from mtl.data.label_check import LabelCount, check_labels, count_by_reading
from mtl.data.length_batches import LengthBatches
from mtl.data.sampling import EpochSampler, OnceSampler, OnceView, ResumableLoader, TrainingView
from mtl.data.worker_signals import start_worker
from mtl.errors import check_least
from mtl.targets.target import target_of
from mtl.task import IMAGE, Inputs, Task

OnUnlabelled = Literal["error", "warn"]


class JointDataModule(LightningDataModule, ABC):
    """Batches with the targets of several tasks.

    Args:
        tasks: all tasks of the samples, by name.
        batch_size: samples per training step and process.
        eval_batch_size: samples per validation and test step; twice `batch_size` by default.
        num_workers: loader processes; 0 loads in the main process.
        seed: seed of the order of training samples and of their augmentation; on the command line, where a config does
            not set it, the seed of `seed_everything`.
        augment: augmentation of training samples; none by default.
        on_unlabelled: if a task with a head has no labels in the training or validation samples: `error` before the
            first step, or `warn` and train; the task then learns nothing, or has no metric.
        balance: draw training samples so that the classes of one task come more equally often: `{wbc_class: 1}` draws
            all equally often, 0.5 is the square root. A sample of several objects counts as its rarest class.
    """

    inputs: Inputs = IMAGE  # what the samples carry; other data sets set their own, in the class or in `__init__`
    batch_tokens: int | None = None  # most steps of a training batch; `train_set.lengths` has each sample's
    temperature: float = 1.0  # above 1, small groups of `train_set.groups` are drawn more often
    train_set: Dataset[Sample]
    val_set: Dataset[Sample]
    test_set: Dataset[Sample]

    def __init__(
        self,
        tasks: dict[str, Task],
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
        on_unlabelled: OnUnlabelled = "error",
        balance: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        check_least(1, batch_size=batch_size, eval_batch_size=1 if eval_batch_size is None else eval_batch_size)
        check_least(0, num_workers=num_workers, seed=seed)
        for name, task in tasks.items():
            if task.name != name:
                raise ValueError(f"task {task.name!r} stands under the key {name!r}; give it that name.")
            target_of(task)  # an unknown kind is an error before anything is read
        check_balance(balance, tasks)
        check_keys(tasks, self.inputs)
        for name in balance or {}:
            refuse_without_classes(tasks[name], "balance")
        self.balance = balance
        self.tasks = tasks
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or 2 * batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.augment = augment
        self.on_unlabelled = on_unlabelled
        self.leaks_told: list[str] = []  # warnings of samples in two splits
        self._groups: dict[str, list[int]] = {}  # class of every training sample, for `balance`
        self._train_loader: ResumableLoader | None = None
        self._resumed: dict[str, int] = {}  # how far the training loader of a checkpoint was

    if not TYPE_CHECKING:  # or every attribute would be known to mypy

        def __getattr__(self, name: str) -> Any:
            if name in ("train_set", "val_set", "test_set"):
                raise AttributeError(
                    f"{type(self).__name__} has no {name}; set train_set, val_set and test_set in `setup`, each with "
                    "`__len__` and a `__getitem__` that gives a sample."
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    @abstractmethod
    def declare_tasks(cls, **init_args: Any) -> dict[str, Task]:
        """The tasks that these constructor arguments give; the CLI hands them to the model.

        Nothing large is read here: at most a small file that a preparing step wrote, with names of classes.

        Args:
            init_args: arguments of the constructor; a subclass names those it needs and accepts the rest as `**_`.
        """

    @classmethod
    def declare_inputs(cls, **init_args: Any) -> Inputs:
        """The inputs that these constructor arguments give, as `declare_tasks`; by default the class's own `inputs`.

        Where they depend on arguments, `__init__` also sets `self.inputs` to what this gives.

        Args:
            init_args: arguments of the constructor.
        """
        return cls.inputs

    @classmethod
    def read_arguments(cls, **init_args: Any) -> dict[str, Any]:
        """Arguments that are left out and that the data itself gives, such as class names; none by default.

        The command line fills them into the config before anything is built, so the run's config records them.

        Args:
            init_args: arguments of the constructor; a subclass names those it needs and accepts the rest as `**_`.
        """
        return {}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any] | None:
        """Arguments of a tiny instance, which the contract tests run on; None leaves them out.

        Args:
            folder: an empty folder, for the files of the instance.
        """
        return None

    def check_labels(self, tasks: Mapping[str, Task]) -> None:
        """Raise an error if a task with a head has no labels; the module calls this before the first step.

        Args:
            tasks: the tasks with a head, by name.

        Raises:
            ValueError: names task, split, counts and the likely cause.
        """
        if self.trainer is not None:
            check_labels(self, tasks, self.trainer)

    def adapt(self, parts: Mapping[str, nn.Module]) -> None:
        """Let inputs and heads learn from the training samples; the module calls this before the first step.

        Args:
            parts: the modules of a model, by name.
        """
        if self.trainer is not None:
            adapt_inputs(self, parts, self.trainer)
            give_class_counts(self, parts, self.trainer)

    def report_all(self) -> None:
        """Let `setup` report all faults of single samples in place of an error about the first; `check` calls it."""

    def training_values(self, name: str) -> Iterable[Any]:
        """The value of an input in every training sample that has it; override it if reading a sample is slow.

        Args:
            name: the input.
        """
        samples = (self.train_set[index] for index in range(len(self.train_set)))  # type: ignore[arg-type]
        optional = name in self.inputs and self.inputs[name].optional
        return (sample[name] for sample in samples if not optional or sample.get(name) is not None)

    def training_classes(self, task: Task) -> list[list[int]]:
        """The classes of every training sample for one task; override it if reading a sample is slow.

        Args:
            task: a task of a kind with classes.

        Returns:
            For each sample the class of each of its objects, or of the whole; empty where it has no label.
        """
        return classes_by_reading(self.train_set, task)

    def count_labels(self, split: str, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
        """Count the samples of a split that have a label of each task; override it if labels are in arrays.

        Args:
            split: `train`, `val` or `test`.
            tasks: the tasks to count, by name; tasks that cannot be counted are omitted.
        """
        return count_by_reading(getattr(self, f"{split}_set"), tasks)

    def explain_unlabelled(self, split: str, task: Task) -> str:
        """Explain in a sentence why a split has no label of a task; empty if unknown.

        Args:
            split: `train`, `val` or `test`.
            task: the task.
        """
        return ""

    # Lightning restores loaders after creating the optimiser. A schedule in steps needs the loader's length by then,
    # and Lightning does not restore a loader that already exists. So the data module restores it.
    def state_dict(self) -> dict[str, Any]:
        return {} if self._train_loader is None else self._train_loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self._resumed = state_dict
            if self._train_loader is not None:  # with sharded strategies, which load the checkpoint late
                self._train_loader.load_state_dict(state_dict)

    def train_dataloader(self) -> DataLoader[Batch]:
        if self.augment is not None:
            self.augment.check(self.inputs, self.tasks)
        view = self._training_view()
        num_replicas, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        options = self._loader_options()
        lengths = getattr(self.train_set, "lengths", None)
        if lengths is not None:
            groups = getattr(self.train_set, "groups", None)
            temperature = self.temperature
            sampler: EpochSampler = LengthBatches(
                view, lengths, self.batch_size, self.batch_tokens, self.seed, num_replicas, rank, groups, temperature
            )
            loader = ResumableLoader(view, None, sampler=sampler, **options)
        else:
            sampler = self._training_sampler(num_replicas, rank)
            sampler.only_full_batches(self.batch_size)  # but a data set smaller than one batch gives one small batch
            loader = ResumableLoader(view, self.batch_size, sampler=sampler, **options)
        if self.balance and not isinstance(sampler, BalancedSampler):
            raise ValueError(
                f"balance={self.balance} has no effect: {type(self).__name__} draws its samples in an order of its "
                "own. Remove it, and set `class_weights: balanced` in the head."
            )
        if self._resumed:
            loader.load_state_dict(self._resumed)
            self._resumed = {}
        self._train_loader = loader
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._eval_loader(self.val_set)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._eval_loader(self.test_set)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        # only training samples have colour matrices; pictures are uint8 until here
        if COLOR in batch:
            colors = batch.pop(COLOR)
            batch["image"] = apply_color(batch["image"], colors)
        return batch

    def _training_view(self) -> TrainingView:
        """The training samples with their augmentation."""
        return TrainingView(self.train_set, self.tasks, self.augment, self.seed)

    def _training_sampler(self, num_replicas: int, rank: int) -> EpochSampler:
        """The order of the training samples."""
        for name, power in (self.balance or {}).items():
            if name not in self._groups:
                self._groups[name] = group_of_each(training_classes(self, self.tasks[name], self.trainer))
            return BalancedSampler(self.train_set, self._groups[name], power, self.seed, num_replicas, rank)
        return EpochSampler(self.train_set, self.seed, num_replicas, rank)

    def _eval_loader(self, dataset: Dataset[Sample]) -> DataLoader[Batch]:
        options = self._loader_options()
        # the loader raises an error for an empty data set
        if self.trainer is not None and self.trainer.world_size > 1 and len(dataset):  # type: ignore[arg-type]
            options["sampler"] = OnceSampler(dataset, self.trainer.world_size, self.trainer.global_rank)
            dataset = OnceView(dataset, self.tasks)
        return DataLoader(dataset, self.eval_batch_size, **options)

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": start_worker,
            "collate_fn": partial(collate, tasks=self.tasks, inputs=self.inputs),
            "pin_memory": torch.cuda.is_available(),
        }
