"""`Task`: what one task predicts. The data module makes it; the head for it is built from it."""

import keyword
from dataclasses import dataclass

# What one sample holds for a task of this kind; another kind must deliver a tensor of one shape in every sample.
KINDS = {
    "classification": "one class index (int64 scalar)",
    "multilabel": "one 0/1 per class (float32 [C])",
    "regression": "one number (float32 scalar)",
    "detection": "boxes [N,4] with a class index each",
}


@dataclass(frozen=True)
class Task:
    """What one task predicts.

    Args:
        name: the task's key everywhere: heads, batches, loss weights, log keys.
        kind: the form of its target: `classification`, `multilabel`, `regression`, `detection`, or a kind of your own.
        num_classes: number of classes C; 0 where there are none. Taken from `class_names` when these are given.
        class_names: names of the classes in the order of their index, for pictures and tables.

    Raises:
        ValueError: for a name that cannot be a key, a kind that needs classes without any, or counts that disagree.
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
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ValueError(f"task name {self.name!r} must be letters, digits and '_' (it becomes a log key).")
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"task {self.name!r} has num_classes={self.num_classes} but {len(self.class_names)} class_names; "
                "leave num_classes out, or make them agree."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"task {self.name!r} names a class twice: {', '.join(self.class_names)}.")
        if self.kind in ("classification", "multilabel", "detection") and self.num_classes < 1:
            raise ValueError(f"task {self.name!r} is of kind {self.kind!r} and needs num_classes or class_names.")

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
