"""`GradientNorms`: the norm of the gradient of the trunk and of each head."""

from collections.abc import Iterable

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from mtl.callbacks.logging_steps import is_logging_step
from mtl.callbacks.model_parts import model_of, parts
from mtl.distributed.dtensor import total_norm


class GradientNorms(Callback):
    """Logs `grad_norm/trunk` and `grad_norm/<task>`, before clipping.

    Args:
        every_n_logs: measure at every n-th logging step of the trainer; other steps cost nothing.
    """

    def __init__(self, every_n_logs: int = 1) -> None:
        if every_n_logs < 1:
            raise ValueError(f"every_n_logs={every_n_logs} must be at least 1.")
        self.every_n_logs = every_n_logs

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if not is_logging_step(trainer, done=False, every_n_logs=self.every_n_logs):
            return
        norms = {name: gradient_norm(part.parameters()) for name, part in parts(model_of(pl_module)).items()}
        # tensors stay on the device until Lightning logs them
        pl_module.log_dict({f"grad_norm/{name}": norm for name, norm in norms.items() if norm is not None})


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor | None:
    """Euclidean norm of all gradients together, or None where there is none.

    Args:
        parameters: the parameters; those without a gradient are left out.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return total_norm(gradients) if gradients else None
