"""What a trainer may not have: settings and callbacks of Lightning that would train or measure something else."""

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.plugins.precision import HalfPrecision
from torch.optim import LBFGS, Optimizer

from mtl.config.refused_classes import why_refused


def refuse_settings(trainer: Trainer) -> None:
    """Refuse a precision that rounds targets, and callbacks that cannot work here.

    Args:
        trainer: the trainer, before anything runs.

    Raises:
        ValueError: naming the setting or the callback, and the way out.
    """
    if isinstance(trainer.precision_plugin, HalfPrecision):
        raise ValueError(
            f"trainer.precision {trainer.precision} rounds true boxes to 16 bits (501.3 to 502). Set it to "
            "bf16-mixed or 16-mixed, which keep boxes and weights in 32 bits."
        )
    for callback in getattr(trainer, "callbacks", []):
        for cls in type(callback).__mro__:
            if (reason := why_refused(f"{cls.__module__}.{cls.__qualname__}")) is not None:
                raise ValueError(f"trainer.callbacks holds {cls.__name__}, which cannot work here: {reason}.")


def adds_groups(trainer: Trainer) -> bool:
    """Whether a callback adds frozen parameters to the optimiser when they are to learn, with a rate of its own.

    Args:
        trainer: the trainer.
    """
    return any(isinstance(callback, BaseFinetuning) for callback in getattr(trainer, "callbacks", []))


def refuse_optimizer(optimizer: Optimizer, trainer: Trainer, learns_weights: bool) -> None:
    """Refuse an optimiser that evaluates the losses of a step many times where one evaluation is all there is.

    Args:
        optimizer: the optimiser.
        trainer: its trainer.
        learns_weights: whether parameters of a balancing method are among what it optimises.

    Raises:
        ValueError: naming what does not fit, and the way out.
    """
    if isinstance(optimizer, LBFGS) and trainer.accumulate_grad_batches > 1:
        raise ValueError(
            "LBFGS evaluates the last batch many times, and accumulate_grad_batches > 1 would add up all of them. Set "
            "trainer.accumulate_grad_batches to 1 with a larger data.batch_size, or take AdamW."
        )
    if learns_weights and adds_groups(trainer):
        raise ValueError(
            "Lightning's BaseFinetuning knows parameters of the model only, and the balancing method learns some of "
            "its own. Take the callback FreezeParts of mtl, which needs no groups of its own."
        )


def refuse_line_search(trainer: Trainer, who: str) -> None:
    """Refuse an optimiser that compares the losses of one step with each other, where their weights change.

    Args:
        trainer: the trainer, whose optimisers are built.
        who: what changes the weights.

    Raises:
        ValueError: naming both.
    """
    if any(isinstance(optimizer, LBFGS) for optimizer in trainer.optimizers):
        raise ValueError(
            f"LBFGS evaluates the losses many times in one step, and {who} changes what is minimised each time. Take "
            f"an optimiser with one evaluation, such as AdamW, or remove {who}."
        )
