from itertools import product
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from mtl.callbacks.checkpoints.step_seeds import StepSeeds
from mtl.functional.counter_random import mixed_seed


class Drawn(Callback):
    """What torch draws in every training batch."""

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.numbers.append(torch.rand(()).item())


def train(seeds: StepSeeds, disturbed: bool = False, epochs: int = 2) -> list[float]:
    drawn = Drawn()
    options = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(
        max_epochs=epochs,
        limit_train_batches=3,
        limit_val_batches=0,
        accelerator="cpu",
        callbacks=[seeds, drawn],
        **options,
    )
    if disturbed:
        torch.rand(17)
    trainer.fit(BoringModel())
    return drawn.numbers


def test_a_step_draws_the_same_whatever_was_drawn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    first = train(StepSeeds())
    assert len(set(first)) == 6
    assert train(StepSeeds(), disturbed=True) == first
    assert train(StepSeeds(4)) != first


def test_a_resumed_run_keeps_the_seed_of_its_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    before = StepSeeds()
    numbers = train(before, epochs=1)
    after = StepSeeds(99)
    after.load_state_dict(before.state_dict())
    assert train(after, epochs=1) == numbers


def test_near_numbers_give_seeds_far_apart() -> None:
    seeds = {mixed_seed(*numbers) for numbers in product(range(3), range(3), range(9), range(3))}
    assert len(seeds) == 3 * 3 * 9 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(1, 2) != mixed_seed(2, 1)
    assert min(bin(mixed_seed(0, step) ^ mixed_seed(0, step + 1)).count("1") for step in range(50)) > 15


def test_it_stands_in_the_state_of_a_run() -> None:
    assert StepSeeds(5).state_dict() == {"seed": 5}
