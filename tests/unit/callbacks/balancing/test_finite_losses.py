from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from mtl.balancing.dwa import DWA
from mtl.balancing.moco import MoCo
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.finite_losses import FiniteLosses
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.module import MultiTaskLightningModule
from tests.conftest import RunRanks


def spoil(module: MultiTaskLightningModule, steps: dict[int, list[str]], value: float = torch.nan) -> None:
    """At some training steps the losses of some tasks are not finite, and neither are their gradients."""
    losses = module.model.losses

    def spoilt(outputs: Any, batch: Any) -> dict[str, Tensor]:
        found: dict[str, Tensor] = losses(outputs, batch)
        out = steps.get(module.trainer.global_step, []) if module.training else []
        return {name: loss * value if name in out else loss for name, loss in found.items()}

    module.model.losses = spoilt  # type: ignore[method-assign]


def finite(module: MultiTaskLightningModule) -> bool:
    return all(bool(value.isfinite().all()) for value in module.state_dict().values())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_the_run_stops_before_the_step_and_names_the_task(tiny: Any, value: float) -> None:
    module = tiny.module()
    spoil(module, {2: ["boxes"]}, value)
    trainer = tiny.trainer([FiniteLosses()])
    with pytest.raises(RuntimeError, match=r"the loss of task 'boxes' was not finite at step 2\. .*on_nonfinite: drop"):
        trainer.fit(module, tiny.data())
    assert trainer.global_step == 2
    assert finite(module)
    assert not module.objective_steps


def test_several_tasks_are_all_named(tiny: Any) -> None:
    module = tiny.module()
    spoil(module, {1: ["boxes", "largest"]})
    with pytest.raises(RuntimeError, match="loss of the tasks 'boxes', 'largest' was not finite at step 1"):
        tiny.trainer([FiniteLosses()]).fit(module, tiny.data())


BALANCED: list[Callable[[], list[Callback]]] = [
    list,
    lambda: [LossBalancing(DWA())],
    lambda: [LossBalancing(UPGrad())],
    lambda: [LossBalancing(UPGrad(), at="parameters", head_gradients="weighted")],
    lambda: [LossBalancing(MoCo(), at="parameters")],
]


@pytest.mark.parametrize("balancing", BALANCED)
def test_a_task_sits_out_under_every_kind_of_method(
    tiny: Any, caplog: pytest.LogCaptureFixture, balancing: Callable[[], list[Callback]]
) -> None:
    module, watch = tiny.module(), FiniteLosses("drop")
    spoil(module, {1: ["boxes"], 2: ["boxes", "largest"], 3: ["largest"]})
    trainer = tiny.trainer([*balancing(), watch], max_steps=5)
    trainer.fit(module, tiny.data())
    assert trainer.global_step == 5
    assert finite(module)
    assert watch.dropped == {"boxes": 2, "largest": 2}
    assert trainer.callback_metrics["dropped/boxes"] == 2
    assert [record.message.split(";")[0] for record in caplog.records if "sits out" in record.message] == [
        "the loss of task 'boxes' is not finite at step 1",
        "the loss of task 'largest' is not finite at step 2",
    ]


def test_a_step_without_a_task_is_that_of_the_other_tasks(tiny: Any) -> None:
    states = []
    for weights, steps in (({"boxes": 1.0}, {0: ["boxes"]}), ({"boxes": 0.0}, {})):
        torch.manual_seed(0)
        module = tiny.module(loss_weights=weights)
        spoil(module, steps)
        tiny.trainer([FiniteLosses("drop")], max_steps=1).fit(module, tiny.data())
        states.append(module.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_task_that_never_recovers_ends_the_run(tiny: Any) -> None:
    module = tiny.module()
    spoil(module, {step: ["boxes"] for step in range(9)})
    with pytest.raises(RuntimeError, match="'boxes' was not finite in 3 batches in a row, up to step 2"):
        tiny.trainer([FiniteLosses("drop", most_in_row=3)], max_steps=9).fit(module, tiny.data())
    with pytest.raises(ValueError, match="most_in_row=0 must be at least 1"):
        FiniteLosses(most_in_row=0)


def test_no_checkpoint_holds_what_came_of_it(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which is asked at logging steps and before a checkpoint only."""
    monkeypatch.setattr("mtl.callbacks.balancing.finite_losses._waits", lambda device: True)
    module = tiny.module()
    spoil(module, {3: ["boxes"]})
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trainer = tiny.trainer([FiniteLosses(), saving], max_steps=9, enable_checkpointing=True, log_every_n_steps=50)
    with pytest.raises(RuntimeError, match=r"not finite at step 3 \(seen at step 4\)\. No checkpoint was"):
        trainer.fit(module, tiny.data())
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["step=1", "step=2", "step=3"]


def test_the_counts_survive_a_resume() -> None:
    watch = FiniteLosses("drop")
    watch.dropped, watch._in_row = {"boxes": 3}, {"boxes": 1}
    again = FiniteLosses("drop")
    again.load_state_dict(watch.state_dict())
    assert (again.dropped, again._in_row) == ({"boxes": 3}, {"boxes": 1})


def over_ranks(rank: int, mode: Any) -> Any:
    """One rank has a bad loss; what each hands to the balancing, or the error it ends with."""
    watch = FiniteLosses(mode)
    heads = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in ("boxes", "largest")})
    watch._trainer = SimpleNamespace(global_step=3, log_every_n_steps=1)  # type: ignore[assignment]
    watch._module = SimpleNamespace(model=heads)  # type: ignore[assignment]
    watch._names = list(heads)
    seen: list[str] = []

    def rest(losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        seen.extend(losses)
        return torch.stack(list(losses.values())).sum(), {}

    bad = torch.nan if rank == 1 else 1.0
    watch._objective({"boxes": torch.tensor(bad), "largest": torch.tensor(2.0)}, rest)
    if mode == "drop":
        return seen
    try:
        watch._raise_if_not_finite()
    except RuntimeError as error:
        return str(error).partition(". ")[0]


@pytest.mark.ddp
def test_all_ranks_leave_the_task_out_or_stop_together(run_ranks: RunRanks) -> None:
    assert run_ranks(over_ranks, "drop") == [["largest"], ["largest"]]
    assert run_ranks(over_ranks, "stop") == ["the loss of task 'boxes' was not finite at step 3"] * 2
