"""`Memo`: what one part of an architecture leaves for another within a step; copies of it are empty."""

from typing import TYPE_CHECKING, Any


class Memo:
    """Attributes that anyone sets and reads; the same object for all modules that hold it."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"nothing was left under {name!r}; `cut` and `view` run first")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __deepcopy__(self, memo: dict[int, Any]) -> "Memo":
        return Memo()  # tensors with a graph cannot be copied, and nobody needs them

    def __reduce__(self) -> Any:
        return Memo, ()
