"""Loss methods and gradient aggregations against golden values of LibMTL and TorchJD, with equal settings.

Where a peer adds a small number (LibMTL divides by a norm + 1e-8), the tolerance accounts for it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.balancing.cosmos import COSMOS
from mtl.balancing.db_mtl import DBMTL
from mtl.balancing.dwa import DWA
from mtl.balancing.equal import Equal
from mtl.balancing.excess_mtl import ExcessMTL
from mtl.balancing.famo import FAMO
from mtl.balancing.geometric import Geometric
from mtl.balancing.graddrop import graddrop
from mtl.balancing.imtl_l import IMTLL
from mtl.balancing.moco import MoCo
from mtl.balancing.pbi import PBI
from mtl.balancing.protocols import GradientAggregation, LossWeighting
from mtl.balancing.rlw import weighted
from mtl.balancing.stch import STCH
from mtl.balancing.uncertainty import Uncertainty

FILE = Path(__file__).resolve().parents[2] / "golden" / "methods.json"
GOLDEN: dict[str, Any] = json.loads(FILE.read_text("utf-8"))


def tensor(values: Any) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def records(key: str, *methods: str) -> list[Any]:
    chosen = [record for record in GOLDEN.get(key, []) if record["method"] in methods and record["lib"] != "reference"]
    return [
        pytest.param(
            record, id="-".join(str(record.get(part, "")) for part in ("method", "lib", "matrix")) + f"-{number}"
        )
        for number, record in enumerate(chosen)
    ]


LOSS_METHODS: dict[str, Callable[[dict[str, Any]], LossWeighting]] = {
    "Sum": lambda config: Equal(),
    "Mean": lambda config: Equal("mean"),
    "GLS": lambda config: Geometric(),
    "UW": lambda config: Uncertainty(log_variance=config.get("init", -0.5)),
    "IMTL-L": lambda config: IMTLL(),
    "DWA": lambda config: DWA(),
    "FAMO": lambda config: FAMO(weight_decay=config.get("weight_decay", config.get("FAMO_w_gamma"))),
    "STCH": lambda config: (
        STCH(mu=config["STCH_mu"], warmup_epochs=0) if "STCH_mu" in config else STCH(mu=config["mu"], values="raw")
    ),
    "PBI": lambda config: PBI(config["theta"], config["weights"]),
    "COSMOS": lambda config: COSMOS(config["lambda_"], config["weights"]),
}


def test_golden_values_cover_every_method_named_here() -> None:
    assert set(LOSS_METHODS) <= {record["method"] for record in GOLDEN["loss_sequences"]}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("record", records("loss_sequences", *LOSS_METHODS))
def test_loss_methods_over_six_epochs_of_one_step(record: dict[str, Any], dtype: torch.dtype) -> None:
    inputs = GOLDEN["loss_inputs"]
    method = LOSS_METHODS[record["method"]](record["config"])
    method.build(inputs["K"])
    method.to(dtype)
    learned = list(method.parameters())
    optimizer = torch.optim.SGD(learned, lr=record["config"].get("sgd_lr", 0.1)) if learned else None
    tolerance = {"rtol": 1e-6 if dtype == torch.float64 else 1e-3, "atol": 1e-8 if dtype == torch.float64 else 1e-5}
    # fixed preferences are kept as float32 numbers
    for losses, after, step in zip(inputs["losses"], inputs["losses_after_step"], record["steps"], strict=True):
        leaf = torch.tensor(losses, dtype=dtype, requires_grad=True)
        if "param_before" in step:
            torch.testing.assert_close(learned[0].detach().double(), tensor(step["param_before"]), **tolerance)
        objective = method(leaf)
        objective.backward()
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad.double(), tensor(step["weights"]), **tolerance)
        if "total" in step:
            torch.testing.assert_close(objective.item(), step["total"], **tolerance)
        if optimizer is not None:
            torch.testing.assert_close(learned[0].grad.double(), tensor(step["param_grad"]), **tolerance)
            optimizer.step()
            optimizer.zero_grad()
        method.observe_step(torch.tensor(after, dtype=dtype))
        if "logits_after" in step:
            torch.testing.assert_close(method.logits_K.double(), tensor(step["logits_after"]), **tolerance)
        method.observe_epoch(leaf.detach())


@pytest.mark.parametrize("record", records("loss_sequences", "STCH-log"))
def test_stch_of_logarithms_without_the_factor_k(record: dict[str, Any]) -> None:
    losses = torch.tensor(GOLDEN["loss_inputs"]["losses"], dtype=torch.float64)
    method = STCH(mu=record["config"]["mu"], warmup_epochs=0, sum_to="one")
    method.build(3)
    method.double().observe_epoch(losses[0])
    for row, step in zip(losses, record["steps"], strict=True):
        torch.testing.assert_close(method.weights(row), tensor(step["weights"]))


@pytest.mark.parametrize("record", records("loss_sequences", "RLW"))
def test_random_weights_are_a_softmax_of_normal_numbers(record: dict[str, Any]) -> None:
    for number, step in enumerate(record["steps"]):
        torch.manual_seed(GOLDEN["meta"]["seed"] + number)
        losses = torch.ones(3, dtype=torch.float64, requires_grad=True)
        weighted(torch.randn(3, dtype=torch.float64), losses, "one").backward()
        assert losses.grad is not None
        torch.testing.assert_close(losses.grad, tensor(step["weights"]), rtol=1e-6, atol=1e-7)


def aggregation(record: dict[str, Any]) -> GradientAggregation:
    config = record["config"]
    if record["method"] == "MoCo":
        return MoCo(scale="loss", projection="softmax")
    if record["method"] == "DB-MTL":
        return DBMTL(config["DB_beta"], config["DB_beta_sigma"])
    if record["lib"] == "torchjd":
        return ExcessMTL(config["robust_step_size"], config["n_warmup_steps"])
    return ExcessMTL(config["robust_step_size"], first="skip", sum_to="tasks")


def matrix(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(matrix for matrix in GOLDEN["matrices"] if matrix["id"] == name)
    return found


@pytest.mark.parametrize("record", records("results", "MoCo", "DB-MTL", "ExcessMTL"))
def test_first_call_of_an_aggregation_on_every_matrix(record: dict[str, Any]) -> None:
    source = matrix(record["matrix"])
    rows = torch.stack([tensor(row) for row in source["rows"]])
    method = aggregation(record)
    method.build(len(rows))
    update, expected = method.double()(rows, tensor(source["losses"])), tensor(record["vector"])
    # LibMTL divides by norm + 1e-8 in MoCo, which shows on norms of 1e-4
    tolerance = 1e-8 / float(rows.norm(dim=1)[rows.norm(dim=1) > 0].min()) if record["method"] == "MoCo" else 1e-9
    # opposed rows cancel: the error is that of their sizes, not of what is left
    size = max(expected.norm(), (tensor(record["weights"])[:, None] * rows).norm() if record["weights"] else 0)
    assert (update - expected).norm() <= max(2 * tolerance, 1e-9) * size
    small = aggregation(record)(rows.float(), tensor(source["losses"]).float()).double()
    assert (small - expected).norm() <= max(2 * tolerance, 1e-5) * size


@pytest.mark.parametrize("record", records("sequences", "MoCo", "DB-MTL", "ExcessMTL"))
def test_five_calls_of_an_aggregation_that_keeps_averages(record: dict[str, Any]) -> None:
    inputs = GOLDEN["sequence_inputs"]
    method = aggregation(record)
    method.build(inputs["K"])
    method.double()
    for rows, losses, step in zip(inputs["matrices"], inputs["losses"], record["steps"], strict=True):
        update = method(torch.tensor(rows[0], dtype=torch.float64), tensor(losses))
        expected = tensor(step["vector"])
        # 1e-7: LibMTL adds 1e-8 to norms and 1e-7 to roots in another place
        assert (update - expected).norm() <= 1e-7 * expected.norm()


@pytest.mark.parametrize("record", [item for item in records("results", "GradDrop") if "torchjd" in str(item.id)])
def test_graddrop_with_the_same_random_numbers(record: dict[str, Any]) -> None:
    rows = torch.stack([tensor(row) for row in matrix(record["matrix"])["rows"]])
    torch.testing.assert_close(graddrop(rows, tensor(record["uniform"])), tensor(record["vector"]))
