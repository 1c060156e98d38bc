"""`LearningParameters`: what learns is in the optimiser, and in a resumed run it is what learned before."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn

from mtl.callbacks.finetuning.freeze_parts import FreezeParts


class LearningParameters(Callback):
    """Follows which parameters learn, when callbacks freeze some and let them learn later.

    A parameter that begins to learn and is in no group of the optimiser would stand still without an error, and one
    that DDP did not know at the start would differ between ranks; both end the run. A resumed run takes up what
    learned when it was interrupted, where its configuration froze the same as at the start: Lightning's fine-tuning
    callbacks freeze anew and let parameters learn at an epoch that may be over.
    """

    def __init__(self) -> None:
        self._start: list[str] = []  # names of what is frozen when training begins, and of norms without statistics
        self._now: list[str] = []
        self._saved: dict[str, list[str]] | None = None
        self._learns: list[bool] = []
        self._epoch = -1  # the last one that began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch = -1
        self._start = self._now = _frozen(pl_module)
        if self._saved is not None and self._saved["start"] == self._start:
            self._now = self._saved["now"]
            _set_frozen(pl_module, self._now)
        self._saved, self._learns = None, [p.requires_grad for p in pl_module.parameters()]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._epoch = trainer.current_epoch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 and self._epoch != trainer.current_epoch:
            # Lightning (2.6) leaves this hook out where a run resumes between the last batch and the next epoch
            self._epoch = trainer.current_epoch
            for callback in getattr(trainer, "callbacks", []):
                if isinstance(callback, BaseFinetuning):
                    callback.on_train_epoch_start(trainer, pl_module)
        learns = [parameter.requires_grad for parameter in pl_module.parameters()]
        if learns == self._learns:
            return
        places = dict(pl_module.named_parameters())
        new = [name for name, was, is_now in zip(places, self._learns, learns, strict=True) if is_now and not was]
        self._learns, self._now = learns, _frozen(pl_module)
        ours = [one for one in getattr(trainer, "callbacks", []) if isinstance(one, FreezeParts)]
        foreign = [name for name in new if not any(one.averages(places[name]) for one in ours)]
        if foreign and trainer.world_size > 1:
            raise ValueError(
                f"{_few(foreign)} began to learn at step {trainer.global_step}, and DDP averages only gradients of "
                "what learned at the start. Take the callback FreezeParts of mtl, train with trainer.devices 1, or in "
                "two runs: the second without freezing and with model.init_from of the first."
            )
        held = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
        lost = [name for name in new if id(places[name]) not in held]
        if lost:
            raise ValueError(
                f"{_few(lost)} began to learn at step {trainer.global_step}, and no group of the optimiser holds it. "
                "Add it with unfreeze_and_add_param_group, or take the callback FreezeParts of mtl."
            )

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start, "now": self._now} if self._start != self._now else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = dict(state_dict) or None


def _frozen(module: LightningModule) -> list[str]:
    """Names of frozen parameters, and of norms whose statistics Lightning's callbacks have switched off."""
    names = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    return names + [f"{name}.track_running_stats" for name, norm in _norms(module) if not norm.track_running_stats]


def _set_frozen(module: LightningModule, frozen: list[str]) -> None:
    names = set(frozen)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in names)
    for name, norm in _norms(module):
        norm.track_running_stats = f"{name}.track_running_stats" not in names


def _norms(module: LightningModule) -> list[tuple[str, nn.modules.batchnorm._NormBase]]:
    found = module.named_modules()
    return [
        (name, norm)
        for name, norm in found
        if isinstance(norm, nn.modules.batchnorm._NormBase) and norm.running_mean is not None
    ]


def _few(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more parameters" if len(names) > 2 else "")
