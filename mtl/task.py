"""`Task` and `InputSpec`: what is predicted, and from what. The data module makes them for the model."""

import keyword
from collections.abc import Mapping
from dataclasses import dataclass


def _check_name(what: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{what} name {name!r} must be letters, digits and '_' (it becomes a key).")


@dataclass(frozen=True)
class Task:
    """What one task predicts.

    Args:
        name: the task's key everywhere: heads, batches, loss weights, log keys.
        kind: the form of its target: the name of a file in `mtl/targets`, such as `classification` or `detection`, or
            a kind of your own.
        num_classes: number of classes C; 0 where there are none. Taken from `class_names` when these are given.
        class_names: names of the classes in the order of their index, for pictures and tables.

    Raises:
        ValueError: for a name that cannot be a key, or counts that disagree.
    """

    name: str
    kind: str
    num_classes: int = 0
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # YAML and checkpoints carry a list; a frozen, hashable word needs the tuple.
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if not self.num_classes:
            object.__setattr__(self, "num_classes", len(self.class_names))
        _check_name("task", self.name)
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"task {self.name!r} has num_classes={self.num_classes} but {len(self.class_names)} class_names; "
                "leave num_classes out, or make them agree."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"task {self.name!r} names a class twice: {', '.join(self.class_names)}.")

    @property
    def labels_field(self) -> str:
        """Batch key of a detection task's class indices: `boxes` has `box_labels`, `faces` has `faces_labels`."""
        return "box_labels" if self.name == "boxes" else f"{self.name}_labels"

    @property
    def labelled_field(self) -> str:
        """Batch key of the mask that says which samples carry a label of this task."""
        return f"labelled/{self.name}"

    def class_name(self, index: int) -> str:
        """Name of one class, or its number where the classes have no names.

        Args:
            index: class index, 0 to C-1.
        """
        return self.class_names[index] if self.class_names else str(index)


@dataclass(frozen=True)
class InputSpec:
    """What one input of the model is.

    Args:
        name: the input's key in samples and batches.
        kind: its form: the name of a file in `mtl/inputs`, such as `image` or `tokens`, or a kind of your own.
        channels: width of a value: channels of an image, columns of a table, size of a vocabulary, bands of a
            spectrogram.
        names: names of these, in their order, where they have names.
        rate: values a second (Hz), of inputs recorded over time; 0 where there is no such thing.
        optional: samples may lack it; a batch then says which have it (`present/<name>`), and the backbone must do
            without: a fusion of several inputs does.
        for_teachers: batches carry it for the teachers of `Distill`; the model itself never reads it.
        tokenizer: a folder with `tokenizer.json`, or such a file, that makes tokens of words; in place of `names`.

    Raises:
        ValueError: for a name that cannot be a key, without channels, or for a rate below 0.
    """

    name: str
    kind: str
    channels: int = 0
    names: tuple[str, ...] = ()
    rate: int = 0
    optional: bool = False
    for_teachers: bool = False
    tokenizer: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if not self.channels:
            object.__setattr__(self, "channels", len(self.names))
        _check_name("input", self.name)
        if self.channels < 1 or (self.names and len(self.names) != self.channels):
            raise ValueError(
                f"input {self.name!r} has channels={self.channels} and {len(self.names)} names; give channels of at "
                "least 1, or names."
            )
        if self.rate < 0:
            raise ValueError(f"input {self.name!r} has rate={self.rate} Hz; give a rate above 0, or leave it out.")

    @property
    def present_field(self) -> str:
        """Batch key of the mask that says which samples have an optional input."""
        return PRESENT + self.name


PRESENT = "present/"
Inputs = Mapping[str, InputSpec]
IMAGE: Inputs = {"image": InputSpec("image", "image", channels=3)}  # what a data set of pictures has
