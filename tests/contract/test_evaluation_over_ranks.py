"""Validation and test over ranks give the numbers of one process: no sample counts twice, also with empty ranks."""

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import Subset

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.regression import RegressionHead
from mtl.module import MultiTaskLightningModule
from tests.conftest import RunRanks
from tests.contract.kit.ranks import Team
from tests.contract.kit.runs import Partly, trainer

TASKS = ["largest", "count", "parity"]


class Few(DigitScenes):
    """A validation and a test set of any size; some scenes lack labels."""

    def __init__(self, num: int) -> None:
        super().__init__(TASKS, 2, num, num, 32, max_digit_px=20, batch_size=2, eval_batch_size=2)
        self.num = num

    def setup(self, stage: str) -> None:
        super().setup(stage)
        kept = {"boxes": set(range(self.num)) - {1}, "count": {0, 2, 5}, "parity": set(range(self.num)) - {0}}
        if stage == "test":
            self.test_set = Partly(Subset(self.test_set, range(self.num)), kept)
        else:
            self.val_set = Partly(Subset(self.val_set, range(self.num)), kept)


def evaluate(rank: int, ranks: int, num: int, stage: str) -> dict[str, torch.Tensor]:
    tasks = DigitScenes.declare_tasks(TASKS)
    heads = {"boxes": CenterNetHead, "largest": ClassificationHead, "count": RegressionHead}
    heads |= {"parity": ClassificationHead}
    torch.manual_seed(3)
    loop = MultiTaskLightningModule(tasks, ResidualFPN(width=4, pyramid_width=8), {name: heads[name] for name in tasks})
    strategy = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo") if ranks > 1 else "auto"
    settings = {"strategy": strategy, "devices": 1, "num_nodes": ranks, "limit_val_batches": 1.0}
    run = trainer([], **settings, use_distributed_sampler=True)
    getattr(run, "validate" if stage == "val" else "test")(loop, datamodule=Few(num), verbose=False)
    return {name: value.cpu() for name, value in run.callback_metrics.items()}


@pytest.mark.ddp
@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize(("num", "ranks"), [(7, 2), (1, 2), (9, 4)], ids=["uneven", "empty rank", "four ranks"])
def test_ranks_measure_what_one_process_measures(num: int, ranks: int, stage: str, run_ranks: RunRanks) -> None:
    whole = evaluate(0, 1, num, stage)
    assert any(name.startswith(f"{stage}/boxes/map") for name in whole)
    for measured in run_ranks(evaluate, ranks, num, stage, ranks=ranks):
        assert measured.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(measured[name], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n} {m}")
