"""`LearningRates`: the learning rate of each part of the model."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from mtl.callbacks.logging_steps import is_logging_step


class LearningRates(Callback):
    """Logs `lr/<part>` of every group of the optimiser, under the name that `Optim` gave it.

    The groups without weight decay follow the same schedule and are left out.
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if not is_logging_step(trainer, done=False):
            return
        rates: dict[str, float] = {}
        for index, group in enumerate(optimizer.param_groups):
            name = str(group.get("name", index)).removesuffix("/no_decay")
            rates.setdefault(f"lr/{name}", float(group["lr"]))
        pl_module.log_dict(rates)
