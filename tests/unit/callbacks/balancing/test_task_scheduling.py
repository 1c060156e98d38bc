"""What a schedule is told, what is logged, and what is refused. The contract tests hold every schedule to the rest."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from mtl.balancing.equal import Equal
from mtl.balancing.transformed import TransformedWeighting
from mtl.balancing.uncertainty import Uncertainty
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.data.sampling import EpochSampler
from mtl.functional.gradient_similarity import gradient_similarity
from mtl.scheduling.affinity_groups import AffinityGroups
from mtl.scheduling.loss_progress import LossProgress
from mtl.scheduling.round_robin import RoundRobin
from mtl.scheduling.schedule import TaskSchedule
from tests.contract.kit.runs import HEADS, Norms, Scenes, module, trainer


class Told(TaskSchedule):
    """All tasks train in the first two steps and are watched; then only the first. Keeps what it is told."""

    paper = "none"
    window = 2

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Tensor] = []
        self.cosines: list[Tensor] = []

    def active(self, step: int) -> list[bool]:
        return [step < 2 or task == 0 for task in range(self.num_tasks)]

    def watched(self, step: int) -> bool:
        return step < 2

    def observe_losses(self, losses_K: Tensor) -> None:
        self.losses.append(losses_K)

    def observe_cosines(self, cosines_KK: Tensor) -> None:
        self.cosines.append(cosines_KK)


class Seen(Callback):
    """Losses and cosines of every step, computed apart."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.cosines: list[Tensor] = []
        self.logged: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # leaves of their own: in the trunk one level comes from another
        features = {k: v.detach().requires_grad_() for k, v in pl_module.model.cut(batch).items()}
        losses = pl_module.model.losses({n: head(features) for n, head in pl_module.model.heads.items()}, batch)
        rows = []
        for loss in losses.values():
            found = torch.autograd.grad(loss, list(features.values()), retain_graph=True, allow_unused=True)
            parts = [
                torch.zeros_like(x) if g is None else g for g, x in zip(found, features.values(), strict=True)
            ]  # where a head does not look
            rows.append(torch.cat([part.flatten() for part in parts]).double())
        self.losses.append(torch.stack([loss.detach() for loss in losses.values()]))
        self.cosines.append(gradient_similarity(torch.stack(rows) @ torch.stack(rows).T)[1])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.logged.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("active/")})


def fit(scheduling: TaskScheduling, *others: Callback, **settings: Any) -> Any:
    loop = module(Norms())
    run = trainer([*others, scheduling], **{"max_epochs": 1, **settings})
    run.fit(loop, Scenes(num_train=16, kept=labelled_everywhere()))
    return run


def labelled_everywhere() -> dict[str, set[int]]:
    return {name: set(range(16)) for name in HEADS}


@pytest.mark.parametrize(
    "balancing",
    [[], [LossBalancing(Uncertainty())], [LossBalancing(TransformedWeighting(Equal()))]],
    ids=["plain", "losses", "gradients"],
)
def test_a_schedule_is_told_mean_losses_and_mean_cosines(balancing: list[Callback]) -> None:
    schedule, seen = Told(), Seen()
    fit(TaskScheduling(schedule), seen, *balancing)
    wanted = torch.stack(seen.losses[:2]).mean(0)
    torch.testing.assert_close(schedule.losses[0], wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(schedule.losses[1][0], torch.stack(seen.losses[2:])[:, 0].mean(), rtol=1e-5, atol=1e-6)
    assert schedule.losses[1][1:].isnan().all()
    assert len(schedule.cosines) == 1
    cosines = torch.stack(seen.cosines[:2]).mean(0).float()
    torch.testing.assert_close(schedule.cosines[0], cosines, rtol=1e-4, atol=1e-5)


def test_a_batch_without_labels_of_a_task_is_no_step_without_loss() -> None:
    schedule, seen = Told(), Seen()
    order = [index for _, index in EpochSampler(range(16))]  # type: ignore[arg-type]
    kept = {**labelled_everywhere(), "count": set(order[:4]), "parity": set(order[8:])}  # four samples in a batch
    run = trainer([seen, TaskScheduling(schedule)], max_epochs=1)
    run.fit(module(Norms()), Scenes(num_train=16, kept=kept))
    first, second = seen.losses[:2]
    count, parity = list(HEADS).index("count"), list(HEADS).index("parity")
    assert first[count] > 0
    assert second[count] == first[parity] == second[parity] == 0
    assert schedule.losses[0][count] == pytest.approx(float(first[count]), rel=1e-5)
    assert schedule.losses[0][parity].isnan()


def test_the_share_of_active_steps_is_logged() -> None:
    seen = Seen()
    fit(TaskScheduling(RoundRobin(), warmup_steps=2), seen, log_every_n_steps=4)
    names = [f"active/{name}" for name in HEADS]
    assert seen.logged[-1] == pytest.approx(dict(zip(names, [0.5, 0.5, 0.75, 0.75], strict=True)))


def test_validation_and_the_finished_model_run_all_heads() -> None:
    class Validate(Callback):
        def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *rest: Any) -> None:
            self.found = set(outputs)

    watch = Validate()
    run = fit(TaskScheduling(RoundRobin()), watch, limit_val_batches=1)
    assert watch.found == set(HEADS)
    assert set(run.lightning_module.model(torch.rand(1, 3, 32, 32))) == set(HEADS)


def test_a_run_continues_with_its_own_schedule_only(tmp_path: Path) -> None:
    class Save(Callback):
        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.save_checkpoint(tmp_path / "last.ckpt")

    fit(TaskScheduling(LossProgress()), Save())
    run = trainer([TaskScheduling(AffinityGroups())], max_epochs=2)
    with pytest.raises(ValueError, match="scheduled by LossProgress; TaskScheduling has AffinityGroups"):
        run.fit(module(Norms()), Scenes(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def test_rejects_a_negative_warmup() -> None:
    with pytest.raises(ValueError, match="warmup_steps=-1"):
        TaskScheduling(RoundRobin(), warmup_steps=-1)
