"""Training on a mix: two ranks take the steps of one, and a run that is killed ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

import mtl
from mtl.data.mixed.module import MixedData
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from tests.conftest import RunRanks
from tests.contract.kit.ranks import NEAR_64, Team, double_precision, without_batch_norm
from tests.contract.kit.runs import Norms, trainer
from tests.unit.data.mixed.test_module import BOXES, SCENE, PlainData
from tests.unit.runs.test_resume import content, differences

BATCH = 8


def train(rank: int, ranks: int) -> dict[str, Tensor]:
    """Weights after an epoch of a mix in which one batch of a rank may lack a part."""
    parts = {"pets": PlainData(BOXES, 8), "places": PlainData(SCENE, 24, 100)}
    data = MixedData(parts, ratio={"pets": 1.0, "places": 3.0}, epoch_size=40, batch_size=BATCH // ranks)
    heads: dict[str, Any] = {"boxes": CenterNetHead, "scene": ClassificationHead}
    with double_precision():
        torch.manual_seed(0)
        optim = Optim(partial(torch.optim.SGD, lr=0.05), schedule="constant", warmup_steps=0)
        loop = MultiTaskLightningModule(data.tasks, Norms(), heads, optim=optim)
        without_batch_norm(loop)
        settings: dict[str, Any] = {"max_epochs": 1}
        if ranks > 1:
            settings["strategy"] = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
        run = trainer([], devices=1, num_nodes=ranks, **settings)
        run.callbacks = [one for one in run.callbacks if type(one).__name__ != "Scores"]  # type: ignore[attr-defined]
        before = {name: value.clone() for name, value in loop.state_dict().items()}
        run.fit(loop, data)
        assert run.global_step == 5
        assert any(not torch.equal(value, before[name]) for name, value in loop.state_dict().items())
        return dict(loop.state_dict())


@pytest.mark.ddp
def test_two_ranks_train_on_a_mix_as_one_does(run_ranks: RunRanks) -> None:
    first, second = run_ranks(train, 2)
    for name, value in train(0, 1).items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(first[name], value, rtol=NEAR_64, atol=NEAR_64, msg=name)


MIX = """
data:
  class_path: MixedData
  init_args:
    ratio: {rooms: 1, digits: 2}
    epoch_size: 24
    batch_size: 4
    augment: {class_path: Augment}
    parts:
      rooms:
        class_path: RoomScenes
        init_args: {room_tasks: [segmentation, boxes], num_train: 7, num_val: 2, num_test: 2, image_size: 32}
      digits:
        class_path: DigitScenes
        init_args: {image_tasks: [count], num_train: 9, num_val: 2, num_test: 2, image_size: 32, max_digit_px: 20}
    rename: {digits: {boxes: digit_boxes}}
model:
  backbone: {class_path: ResidualFPN, init_args: {width: 4, pyramid_width: 8}}
  heads:
    segmentation: {class_path: SegmentationHead, init_args: {width: 8}}
    boxes: {class_path: CenterNetHead}
    digit_boxes: {class_path: CenterNetHead}
    count: {class_path: RegressionHead}
trainer:
  accelerator: cpu
  max_steps: 14
  log_every_n_steps: 2
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
  callbacks: [{class_path: EMA, init_args: {decay: 0.9}}]
tracking: {wandb: "off"}
test_after_fit: false
"""

# children of one process, which has imported everything, train and are killed as a command would be
KILLS = """
import os, signal
import torch
from mtl.cli.main import main

def child(words, kill_at=None):
    number = os.fork()
    if number:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    step = torch.optim.AdamW.step
    def counted(*args, **kwargs):
        counted.count += 1
        if counted.count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)
    counted.count = 0
    torch.optim.AdamW.step = counted
    os._exit(main(words))

first = ["fit", "--config", "mix.yaml", "--checkpoint.save_every_steps", "1", "--name"]
print(child([*first, "whole"]), child([*first, "killed"], 4), flush=True)
again = ["fit", "--resume", "runs/mix/killed"]
print(child(again, 5), child(again), flush=True)
"""


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_on_a_mix_that_is_killed_twice_ends_bit_equal(folder: Path) -> None:
    (folder / "mix.yaml").write_text(MIX)
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", KILLS], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr
    codes = [int(word) for line in done.stdout.splitlines() for word in line.split() if word.lstrip("-").isdigit()]
    # both kills fall into an epoch of six steps, the second one into the next epoch
    assert codes == [0, -signal.SIGKILL, -signal.SIGKILL, 0], done.stdout + done.stderr
    runs = folder / "runs" / "mix"
    assert not list(differences(content(runs / "whole"), content(runs / "killed")))
