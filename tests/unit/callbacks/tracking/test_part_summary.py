"""Sizes of the parts, measured without touching the model."""

from typing import Any

import pytest
import torch
from rich.console import Console

from mtl.callbacks.tracking.part_summary import summarise, table


def test_parts_hold_all_parameters_and_say_their_outputs(tiny: Any) -> None:
    model = tiny.module().model
    rows = summarise(model, {"image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)})
    assert [row.name for row in rows] == ["trunk", "boxes", "largest"]
    assert sum(row.num_parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[0].outputs == {"c4": (16, 2, 2), "p2": (8, 8, 8)}
    assert rows[1].outputs["heat"] == (10, 8, 8)
    assert rows[2].outputs == {"logits": (10,)}
    assert all(row.forward_ms is not None and row.forward_ms > 0 for row in rows)
    assert all(row.flops is not None and row.flops > 0 for row in rows)


def test_measuring_leaves_the_model_as_it_was(tiny: Any) -> None:
    model = tiny.module().model.train()
    model.heads["largest"].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    summarise(model, {"image": torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)})
    torch.set_rng_state(random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.trunk.training
    assert not model.heads["largest"].training


def test_frozen_parameters_are_named(tiny: Any) -> None:
    model = tiny.module().model
    for parameter in model.trunk.parameters():
        parameter.requires_grad_(False)
    row = summarise(model)[0]
    assert (row.num_trainable, row.outputs, row.forward_ms) == (0, {}, None)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table([row]))
    assert f"({row.num_parameters:,} frozen)" in capture.get()


def test_a_run_shows_one_summary_within_80_columns(finished_run: Any) -> None:
    lines = finished_run.screen.splitlines()
    first, last = (next(i for i, line in enumerate(lines) if line.startswith(word)) for word in ("part ", "ms: "))
    shown = "\n".join(lines[first:last])
    assert finished_run.screen.count("part   ") == 1
    assert max(len(line.rstrip()) for line in lines[first:last]) <= 80
    assert "ClassificationHead" in shown
    assert "heat 10x8x8" in shown


@pytest.mark.parametrize("batch", [{"tokens": torch.zeros(2, 4)}, [1, 2]])
def test_batches_without_the_inputs_give_a_summary_without_shapes(tiny: Any, batch: Any) -> None:
    from mtl.callbacks.tracking.part_summary import PartSummary

    class Trainer:
        is_global_zero, current_epoch = True, 0

    from rich import get_console

    with get_console().capture() as capture:
        PartSummary().on_train_batch_start(Trainer(), tiny.module(), batch, 0)  # type: ignore[arg-type]
    assert "trunk" in capture.get()
    assert "outputs" not in capture.get()
