"""The average is validated, saved, tested and resumed; training itself does not feel it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mtl.callbacks.checkpoints.ema import EMA


def weights(module: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items() if value.is_floating_point()}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, value in wanted.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name} {text}"
        )


class Watch(Callback):
    """Keeps the weights after every step, and those that are validated and tested."""

    def __init__(self) -> None:
        self.start: dict[str, Tensor] = {}
        self.trained: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []
        self.tested: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.start = weights(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.trained.append(weights(pl_module))

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.validated.append(weights(pl_module))

    def on_test_batch_start(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.tested = weights(pl_module)


def average(watch: Watch, decays: list[float]) -> dict[str, Tensor]:
    mean = watch.start
    for decay, trained in zip(decays, watch.trained, strict=False):
        mean = {name: decay * value + (1 - decay) * trained[name] for name, value in mean.items()}
    return mean


def every_validation(folder: Path) -> ModelCheckpoint:
    # Lightning's `save_last` writes only when the best improves
    return ModelCheckpoint(folder, filename="last", enable_version_counter=False)


def fit(tiny: Any, folder: Path, ema: EMA, max_steps: int = 4, resume: str | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    watch = Watch()
    trainer = tiny.trainer(
        [ema, watch, every_validation(folder)], max_steps=max_steps, limit_val_batches=1, val_check_interval=2,
        check_val_every_n_epoch=None, enable_checkpointing=True, **options,
    )  # fmt: skip
    module, data = tiny.module(), tiny.data()
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return trainer, module, data, watch


@pytest.mark.parametrize(
    ("ema", "decays"),
    [
        (EMA(decay=0.9, warmup=False), [0.9] * 4),
        (EMA(decay=0.25), [0.1, 2 / 11, 0.25, 0.25]),
    ],
    ids=["constant", "warm-up"],
)
def test_validates_saves_tests_and_leaves_the_average(tiny: Any, tmp_path: Path, ema: EMA, decays: list[float]) -> None:
    trainer, module, data, watch = fit(tiny, tmp_path, ema)
    wanted = average(watch, decays)
    assert_same(watch.validated[0], average(watch, decays[:2]))
    assert_same(watch.validated[1], wanted)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert_same(saved["state_dict"], wanted)
    assert_same(saved["weights_in_training"], watch.trained[-1])
    assert_same(weights(module), wanted)
    trainer.test(module, data, ckpt_path=str(tmp_path / "last.ckpt"), verbose=False, weights_only=True)
    assert_same(watch.tested, wanted)


def test_training_goes_on_from_the_trained_weights_not_from_the_average(tiny: Any, tmp_path: Path) -> None:
    with_average = fit(tiny, tmp_path / "a", EMA())[3].trained
    torch.manual_seed(0)
    watch = Watch()
    tiny.trainer([watch], max_steps=4, limit_val_batches=1, val_check_interval=2, check_val_every_n_epoch=None).fit(
        tiny.module(), tiny.data()
    )
    assert_same(with_average[-1], watch.trained[-1])


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(tiny: Any, tmp_path: Path) -> None:
    _, whole, _, _ = fit(tiny, tmp_path / "whole", EMA(0.9), max_steps=4)
    # the schedule must be the same, so the first half is the same run, stopped after its first validation
    stop = _StopAt(2)
    torch.manual_seed(0)
    first = every_validation(tmp_path / "same")
    tiny.trainer(
        [EMA(0.9), first, stop], max_steps=4, limit_val_batches=1, val_check_interval=2,
        check_val_every_n_epoch=None, enable_checkpointing=True,
    ).fit(tiny.module(), tiny.data())  # fmt: skip
    _, resumed, _, _ = fit(tiny, tmp_path / "same", EMA(0.9), max_steps=4, resume=str(tmp_path / "same/last.ckpt"))
    assert_same(weights(resumed), weights(whole))


class _StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> int | None:
        trainer.should_stop = trainer.global_step >= self.step
        return -1 if trainer.should_stop else None


def test_batch_norm_statistics_are_averaged_and_their_count_is_not(tiny: Any, tmp_path: Path) -> None:
    _, module, _, watch = fit(tiny, tmp_path, EMA(0.5, warmup=False))
    state = module.state_dict()
    name = next(name for name in state if name.endswith("running_mean"))
    torch.testing.assert_close(state[name], average(watch, [0.5] * 4)[name])
    assert not torch.allclose(state[name], watch.trained[-1][name])
    assert state[name.replace("running_mean", "num_batches_tracked")] == 4


def test_a_step_of_accumulated_batches_counts_once(tiny: Any, tmp_path: Path) -> None:
    ema = EMA(0.9, warmup=False)
    fit(tiny, tmp_path, ema, max_steps=2, accumulate_grad_batches=2)
    assert ema.state_dict() == {"num_updates": 2, "latest_step": 2}


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_checkpoint_made_without_an_average_can_be_continued_with_one(tiny: Any, tmp_path: Path) -> None:
    saved = every_validation(tmp_path)
    tiny.trainer(
        [saved], max_steps=2, limit_val_batches=1, val_check_interval=2, check_val_every_n_epoch=None,
        enable_checkpointing=True,
    ).fit(tiny.module(), tiny.data())  # fmt: skip
    _, _, _, watch = fit(tiny, tmp_path, EMA(0.9), max_steps=4, resume=str(tmp_path / "last.ckpt"))
    assert len(watch.trained) == 2


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_rejects_a_decay_that_averages_nothing(decay: float) -> None:
    with pytest.raises(ValueError, match="must lie within 0..1"):
        EMA(decay)


def test_refuses_checkpoints_that_could_not_hold_the_average(tiny: Any, tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, save_weights_only=True)
    trainer = tiny.trainer([EMA(), best], enable_checkpointing=True)
    with pytest.raises(ValueError, match="save_weights_only.*to false, or remove EMA"):
        trainer.fit(tiny.module(), tiny.data())


class Half(torch.nn.Module):
    """A module with weights of 16 bits, as much of Lightning's as EMA looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))


def test_weights_of_16_bits_are_averaged_in_32() -> None:
    ema, module = EMA(decay=0.999, warmup=False), Half()
    ema.on_fit_start(SimpleNamespace(), module)  # type: ignore[arg-type]
    module.weight.data.fill_(1.0)
    for step in range(1000):
        fit_now = SimpleNamespace(global_step=step + 1, state=SimpleNamespace(fn="fit"))
        ema.on_train_batch_end(fit_now, module, None, None, 0)  # type: ignore[arg-type]
        if step % 100 == 0:  # a validation takes the average in and gives the weights back
            ema.on_validation_epoch_start(fit_now, module)  # type: ignore[arg-type]
            ema.on_validation_epoch_end(fit_now, module)  # type: ignore[arg-type]
    assert module.weight.tolist() == [1.0] * 4
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    ema.on_save_checkpoint(SimpleNamespace(), module, checkpoint)  # type: ignore[arg-type]
    expected = 1 - 0.999**1000
    torch.testing.assert_close(checkpoint["exact_average"]["weight"], torch.full((4,), expected), rtol=1e-4, atol=0)
    assert checkpoint["state_dict"]["weight"].dtype == torch.bfloat16
    again, later = EMA(decay=0.999, warmup=False), Half()
    again.on_load_checkpoint(SimpleNamespace(state=SimpleNamespace(fn="fit")), later, checkpoint)  # type: ignore[arg-type]
    again.on_fit_start(SimpleNamespace(), later)  # type: ignore[arg-type]
    assert later.weight.tolist() == [1.0] * 4
    twice: dict[str, Any] = {"state_dict": later.state_dict()}
    again.on_save_checkpoint(SimpleNamespace(), later, twice)  # type: ignore[arg-type]
    assert torch.equal(twice["exact_average"]["weight"], checkpoint["exact_average"]["weight"])


def test_a_second_fit_of_one_object_averages_as_the_first(tiny: Any) -> None:
    def weights(ema: EMA) -> dict[str, Any]:
        torch.manual_seed(0)
        module = tiny.module()
        tiny.trainer([ema], max_steps=2, limit_val_batches=0).fit(module, tiny.data())
        return {name: value.clone() for name, value in module.state_dict().items()}

    ema = EMA(0.99)
    first, second = weights(ema), weights(ema)
    assert all(torch.equal(second[name], value) for name, value in first.items())
