"""`Memo`: what one part of an architecture leaves for another within a step; a copy of the architecture starts empty."""

from typing import Any


class Memo:
    """Attributes that anyone sets and reads; the same object for all modules that hold it."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"nothing was left under {name!r}; `cut` and `view` run first")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Memo":
        return Memo()  # tensors with a graph cannot be copied, and nobody needs them

    def __reduce__(self) -> Any:
        return Memo, ()
