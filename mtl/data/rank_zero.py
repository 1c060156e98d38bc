"""What rank 0 reads once, for all ranks."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lightning.pytorch import Trainer

T = TypeVar("T")


def from_rank_zero(trainer: Trainer | None, what: str, compute: Callable[[], T]) -> T:
    """What rank 0 computes, on every rank; an error there is an error everywhere.

    Args:
        trainer: the trainer, if there is one.
        what: what it computes, for the message of the other ranks.
        compute: the computation.

    Raises:
        RuntimeError: on the other ranks, if rank 0 failed.
    """
    if trainer is None or trainer.world_size == 1:
        return compute()
    value: T | None = None
    failure: Exception | None = None
    if trainer.is_global_zero:
        try:
            value = compute()
        except Exception as error:  # noqa: BLE001, raised below, after the broadcast to the other ranks
            failure = error
    result: Sequence[Any] = (value, failure and f"{type(failure).__name__}: {failure}")
    value, message = trainer.strategy.broadcast(result)
    if failure is not None:
        raise failure
    if message:
        raise RuntimeError(f"rank 0 could not {what}: {message}")
    return value
