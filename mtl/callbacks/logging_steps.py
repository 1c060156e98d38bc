"""At which steps the trainer logs: what is measured only then costs nothing at the others."""

from lightning.pytorch import Trainer


def is_logging_step(trainer: Trainer, done: bool, every_n_logs: int = 1) -> bool:
    """Whether the numbers of the current optimiser step are logged.

    Args:
        trainer: the trainer; its `log_every_n_steps` counts optimiser steps, 0 logs nothing.
        done: whether the optimiser has made the step already.
        every_n_logs: only every n-th logging step.
    """
    every = int(trainer.log_every_n_steps) * every_n_logs  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + (not done)) % every == 0
