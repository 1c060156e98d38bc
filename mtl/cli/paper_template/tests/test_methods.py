"""The method computes what the paper says, and trains. `pytest --contract`, in the checkout of mtl, tests the rest."""

from pathlib import Path

import torch
from mtl.cli.main import main

from mypaper.methods import Mine

CONFIG = Path(__file__).parents[1] / "configs" / "mine.yaml"
SMALL = "--trainer.max_steps 3 --trainer.log_every_n_steps 1 --data.num_train 96 --data.num_val 16 --data.num_test 16"


def test_weighted_gradients_have_the_mean_length() -> None:
    weights = Mine()(torch.tensor([[9.0, 0.5], [0.5, 1.0]]))
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0]))


def test_it_trains_three_steps(tmp_path: Path) -> None:
    words = f"fit --config {CONFIG} --runs_root {tmp_path} --name test --tracking.wandb off {SMALL}"
    assert main(words.split()) == 0
    assert (tmp_path / "mine" / "test" / "results.json").is_file()
