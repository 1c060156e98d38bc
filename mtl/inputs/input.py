"""`Input`: one kind of input, from the sample to what a backbone gets. Each kind is one file beside this one.

The class pads batches; an object of it, part of the model, prepares them on the device.
Shapes: B samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from mtl.discovery import by_kind
from mtl.errors import did_you_mean
from mtl.features import MASK
from mtl.task import InputSpec


class Input(nn.Module, ABC):
    """Prepares one input for the backbone.

    Args:
        spec: what the data module says of it.
    """

    kind: ClassVar[str]  # the word in `InputSpec.kind`
    form: ClassVar[str]  # what one sample holds, for people
    unrepeatable: ClassVar[bool] = False  # recorded from the world: equal values come from one recording
    steps_of: ClassVar[str] = ""  # kind of the input whose steps are also its own, such as the words of a sentence

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    @abstractmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        """Batch entries: the padded values under the input's name, and `<name>_mask` where lengths differ.

        Args:
            spec: the input.
            values: one for each sample.

        Raises:
            ValueError: if values of one batch do not fit each other, or one is missing.
        """

    @classmethod
    @abstractmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        """A random value of one sample, small; tests and checks are made of it.

        Args:
            spec: the input.
            rng: random numbers.
        """

    def adapt(self, values: Iterable[Any]) -> None:
        """Learn what the preparation needs, such as a mean, at the start of a training; nothing by default.

        What it learns is kept in persistent buffers, so that checkpoints have it.

        Args:
            values: the value of every training sample, in order.
        """

    @classmethod
    def open_dimensions(cls, spec: InputSpec) -> dict[int, int]:
        """Dimensions of a batch that differ from batch to batch, and what each is a multiple of.

        Exported files leave them open; the mask has the first of them too. By default these are the steps of an input
        that has a mask.

        Args:
            spec: the input.
        """
        example = cls.collate(spec, [cls.example(spec, np.random.default_rng(0))])
        return {1: 1} if spec.name + MASK in example else {}

    @classmethod
    def reader(cls, spec: InputSpec) -> Callable[[Sequence[str]], Any]:
        """What makes the value of a sample out of the words of a sentence, for kinds that text gives.

        Args:
            spec: the input, with the names of its vocabulary.

        Raises:
            ValueError: if this kind is not made of text, or the vocabulary is not known.
        """
        raise ValueError(f"input {spec.name!r} of kind {cls.kind!r} is not made of text.")

    @classmethod
    def begins(cls, spec: InputSpec) -> Callable[[Sequence[str]], Sequence[int]] | None:
        """What tells at which step each word of a sentence begins; None where every step is a word.

        Args:
            spec: the input.
        """
        return None

    def step_names(self, batch: Mapping[str, Tensor], index: int) -> list[str]:
        """The name of every real step of one sample, for pictures; empty for kinds without a vocabulary.

        Args:
            batch: a batch.
            index: which sample.
        """
        return []

    @staticmethod
    def require_names(spec: InputSpec) -> None:
        """Refuse a vocabulary of which only the size is known.

        Args:
            spec: the input.

        Raises:
            ValueError: saying what to declare.
        """
        if not spec.names:
            raise ValueError(f"input {spec.name!r} has no names; text is read with the names of its vocabulary.")

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the backbone gets: the input under its name, and its mask where the batch has one.

        Args:
            batch: a batch on the device.
        """

    @staticmethod
    def require(spec: InputSpec, values: Sequence[Any]) -> None:
        """Refuse samples that lack an input.

        Args:
            spec: the input.
            values: one for each sample.

        Raises:
            ValueError: saying how many.
        """
        lacking = sum(value is None for value in values)
        if lacking:
            raise ValueError(f"{lacking} of {len(values)} samples have no input {spec.name!r}; every sample needs it.")


def input_kind(spec: InputSpec) -> type[Input]:
    """The class that serves an input, by the word in its `kind`.

    Args:
        spec: the input.

    Raises:
        ValueError: for a kind that no imported file serves.
    """
    known = input_kinds()
    if spec.kind not in known:
        raise ValueError(
            f"input {spec.name!r} is of kind {spec.kind!r}, which no file of mtl/inputs serves."
            f"{did_you_mean(spec.kind, known)} There are {', '.join(known)}. Write a subclass of Input with "
            f"kind = {spec.kind!r}, in mtl/inputs or imported by your own package."
        )
    return known[spec.kind]


def input_kinds() -> dict[str, type[Input]]:
    """Every kind of input that is imported, by its word."""
    return by_kind(Input)  # type: ignore[type-abstract]
