"""Gramian methods against golden values: 60-digit solutions of the papers' formulas, and sequences of the peers.

The tolerances come from tests/golden/README.md.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.balancing.aligned_mtl import AlignedMTL
from mtl.balancing.cagrad import CAGrad
from mtl.balancing.conflict_free import ConFIG
from mtl.balancing.cr_mogm import CRMOGM
from mtl.balancing.dualproj import DualProj
from mtl.balancing.fairgrad import FairGrad
from mtl.balancing.gradvac import GradVac
from mtl.balancing.imtl_g import IMTLG
from mtl.balancing.method import OK, SINGULAR, STATIONARY
from mtl.balancing.mgda import MGDA
from mtl.balancing.modo import MoDo
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.pcgrad import project_conflicts
from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.sdmgrad import SDMGrad
from mtl.balancing.upgrad import UPGrad
from mtl.functional.gramian import decompose

FILE = Path(__file__).resolve().parents[2] / "golden" / "methods.json"
GOLDEN: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
MATRICES: dict[str, dict[str, Any]] = {matrix["id"]: matrix for matrix in GOLDEN.get("matrices", [])}

METHODS: dict[str, Callable[[dict[str, Any]], GradientWeighting]] = {
    "MGDA": lambda config: MGDA(),
    "UPGrad": lambda config: UPGrad(),
    "DualProj": lambda config: DualProj(),
    "CAGrad": lambda config: CAGrad(c=config["c"]),
    "Nash-MTL": lambda config: NashMTL(),
    "FairGrad": lambda config: FairGrad(alpha=config["alpha"]),
    "IMTL-G": lambda config: IMTLG(),
    "Aligned-MTL": lambda config: AlignedMTL(scale_mode=config["scale_mode"]),
    "ConFIG": lambda config: ConFIG(),
}
EASY = ("well-conditioned", "conflicting")
# eigenvalues of the Gramian lose half the digits, and its rank cut acts on wild norms (README)
LOOSER = {("Aligned-MTL", "k2_parallel"): 5e-6, ("Aligned-MTL", "k5_wild"): 1e-4}


def records(methods: Any) -> list[Any]:
    chosen = [r for r in GOLDEN.get("results", []) if r["lib"] == "reference" and r["method"] in methods]
    return [
        pytest.param(record, id="-".join((record["method"], *map(str, record["config"].values()), record["matrix"])))
        for record in chosen
    ]


def rows_of(record: dict[str, Any], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(MATRICES[record["matrix"]]["rows"], dtype=dtype)


def distance(found: Tensor, expected: Any) -> float:
    expected = torch.tensor(expected, dtype=torch.float64)
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("record", records(METHODS))
def test_float64_reaches_the_reference(record: dict[str, Any]) -> None:
    rows_KP, matrix = rows_of(record), MATRICES[record["matrix"]]
    method = METHODS[record["method"]](record["config"])
    weights_K = method(rows_KP @ rows_KP.T, torch.tensor(matrix["losses"], dtype=torch.float64))
    assert bool(weights_K.isfinite().all())
    update_P = weights_K @ rows_KP
    if record["vector"] is None:
        assert int(method.status) in (STATIONARY, SINGULAR)
    elif max(map(abs, record["vector"])) < 1e-15:
        assert float(update_P.norm()) < 1e-9 * max(matrix["norms"])
        assert int(method.status) == STATIONARY
    else:
        tolerance = 1e-9 if matrix["category"] in EASY else 1e-6
        assert distance(update_P, record["vector"]) < LOOSER.get((record["method"], record["matrix"]), tolerance)
        if matrix["category"] in EASY:
            assert int(method.status) == OK


@pytest.mark.parametrize("record", records(METHODS))
def test_float32_reaches_the_reference_where_it_is_well_posed(record: dict[str, Any]) -> None:
    rows_KP, matrix = rows_of(record, torch.float32), MATRICES[record["matrix"]]
    method = METHODS[record["method"]](record["config"])
    weights_K = method(rows_KP @ rows_KP.T, torch.tensor(matrix["losses"]))
    assert weights_K.dtype == torch.float32
    assert bool(weights_K.isfinite().all())
    if matrix["category"] in EASY:
        assert distance(weights_K @ rows_KP, record["vector"]) < 1e-5


@pytest.mark.parametrize(
    "record",
    [
        parameter
        for parameter in records([name for name in METHODS if name != "Aligned-MTL"])
        if MATRICES[parameter.values[0]["matrix"]]["category"] in ("wild norms", "small gradients")
    ],
)
def test_float32_reaches_the_reference_with_wild_norms(record: dict[str, Any]) -> None:
    rows_KP = rows_of(record, torch.float32)
    # the sum of the rows is taken in float64: in float32 the small rows drown in the large ones
    update_P = METHODS[record["method"]](record["config"])(rows_KP @ rows_KP.T).double() @ rows_KP.double()
    assert distance(update_P, record["vector"]) < 1e-4


@pytest.mark.parametrize("record", records(["PCGrad"]))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_pcgrad_in_given_orders_reaches_the_reference(record: dict[str, Any], dtype: torch.dtype) -> None:
    rows_KP, matrix = rows_of(record, dtype), MATRICES[record["matrix"]]
    shape = decompose(rows_KP @ rows_KP.T)
    order_KK = torch.tensor([[*order, task] for task, order in enumerate(record["orders"])])
    norms_K = torch.where(shape.zero_K, 0.0, shape.norms_K)
    update_P = norms_K @ project_conflicts(shape.cosines_KK, order_KK) / shape.norms_K @ rows_of(record)
    if dtype == torch.float64:
        assert distance(update_P, record["vector"]) < (1e-9 if matrix["category"] in EASY else 1e-6)
    elif matrix["category"] in EASY:
        assert distance(update_P, record["vector"]) < 1e-5


# peers: SDMGrad and GradVac add 1e-8 to denominators; CR-MOGM's UPGrad is regularised by 1e-4
SEQUENCES: dict[str, tuple[Callable[[dict[str, Any]], GradientWeighting], float]] = {
    "MoDo": (lambda config: MoDo(gamma=config.get("gamma", config.get("MoDo_gamma"))), 1e-9),
    "SDMGrad": (lambda config: SDMGrad(lr=config.get("lr", 5.0)), 1e-6),
    "GradVac": (lambda config: GradVac(), 1e-6),
    "CRMOGM(UPGrad)": (lambda config: CRMOGM(UPGrad()), 5e-3),
    "Nash-MTL": (lambda config: NashMTL(max_norm=config["max_norm"]), 1e-9),
}
UNSOUND = {("Nash-MTL", "torchjd"), ("Nash-MTL", "libmtl")}  # they return the plain sum at one step


def sound(record: dict[str, Any]) -> bool:
    # SDMGrad with steps of 10 bounces between the corners of the simplex, and a difference of 1e-8 grows to 1e-1
    return (record["method"], record["lib"]) not in UNSOUND and record["config"].get("lr") != 10.0


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(record, id=f"{record['method']}-{record['lib']}-{number}")
        for number, record in enumerate(GOLDEN.get("sequences", []))
        if record["method"] in SEQUENCES and sound(record)
    ],
)
def test_sequence_of_steps_equals_the_peers(record: dict[str, Any]) -> None:
    make, tolerance = SEQUENCES[record["method"]]
    method, inputs = make(record["config"]), GOLDEN["sequence_inputs"]
    for number, step in enumerate(record["steps"]):
        first_KP, second_KP, third_KP = torch.tensor(inputs["matrices"][number], dtype=torch.float64)
        losses_K = torch.tensor(inputs["losses"][number], dtype=torch.float64)
        if record["method"] in ("MoDo", "SDMGrad"):
            update_P = method(first_KP @ second_KP.T, losses_K) @ third_KP
        elif isinstance(method, GradVac):
            method.build(len(first_KP))
            order_KK = torch.tensor([[*order, task] for task, order in enumerate(record["orders"][number])])
            update_P = method.correct(first_KP @ first_KP.T, order_KK, torch.arange(len(first_KP))) @ first_KP
        else:
            update_P = method(first_KP @ first_KP.T, losses_K) @ first_KP
        assert distance(update_P, step["vector"]) < tolerance, f"step {number}"
