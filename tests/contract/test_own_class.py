"""`pytest --contract my.module.Class`: a class outside `mtl` gets every contract test of its family; a config too."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mtl.backbones.backbone import Backbone
from mtl.heads.head import Head
from tests.contract.kit.failures import lines_of_failures
from tests.contract.kit.found import VARIABLE, choose, found, found_configs

ROOT = Path(__file__).resolve().parents[2]
PARTS = '''
import torch
from mtl.balancing.protocols import LossWeighting
from mtl.heads.whole.classification import ClassificationHead

class Halves(LossWeighting):
    """objective = Halves()(losses)"""
    paper = "Nobody, Halves, 2020"
    scaling = "common"

    def objective(self, losses_K, index_K):
        return losses_K.sum() / 2

class Forgetful(Halves):
    """objective = Forgetful()(losses)"""

    def __init__(self):
        super().__init__()
        self.calls = 0  # not in the state

    def objective(self, losses_K, index_K):
        self.calls += 1
        return losses_K.sum() / self.calls

class OwnHead(ClassificationHead):
    pass
'''


def run(folder: Path, name: str, file: str = "test_loss_methods.py") -> subprocess.CompletedProcess[str]:
    (folder / "paper_parts.py").write_text(PARTS)
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--contract", name]
    command.append(str(ROOT / "tests" / "contract" / file))
    # not in the checkout: a paper's folder does as well
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_right_method_passes_and_nothing_else_runs(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_parts.Halves")
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed
    assert 15 <= int(passed[1]) <= 40
    assert "deselected" in ran.stdout


@pytest.mark.slow
@pytest.mark.nightly
def test_a_head_passes_over_two_ranks_as_well(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_parts.OwnHead", "test_heads.py")
    assert ran.returncode == 0, ran.stdout
    assert "test_two_ranks_with_uneven_labels_give_the_gradient_of_one_process[OwnHead-classification-" in ran.stdout


@pytest.mark.slow
@pytest.mark.nightly
def test_state_outside_of_buffers_is_found(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_parts.Forgetful")
    assert ran.returncode == 1
    assert "test_a_stop_and_resume_is_bit_equal[Forgetful]" in ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("paper_parts.Thirds", "there is no such class .*'Thirds'"),
        pytest.param(
            "paper_parts.OwnHead",
            "no contract test takes paper_parts.OwnHead; .* subclasses of .*LossWeighting",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_class_that_no_test_takes_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    ran = run(tmp_path, name)
    assert ran.returncode == 4
    assert re.search(message, ran.stderr + ran.stdout)


def test_a_choice_leaves_other_families_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # what `choose` sets is taken back
    here = [ROOT / "configs" / "digits.yaml"]
    assert len(found(Head)) > 1  # type: ignore[type-abstract]
    assert found_configs(here) == here
    assert choose("mtl.backbones.image.seed_cnn.SeedCNN") == found(Backbone)  # type: ignore[type-abstract]
    assert found(Head) == found_configs(here) == []  # type: ignore[type-abstract]
    with pytest.raises(ValueError, match="Head cannot be built yet; write its `decode`, `forward`, `loss`, `metrics`"):
        choose("mtl.heads.head.Head")
    assert choose(str(here[0])) == here
    assert found_configs([]) == here
    assert found(Backbone) == []  # type: ignore[type-abstract]
    both = choose(str(here[0]), "mtl.backbones.image.seed_cnn.SeedCNN")
    assert both == found_configs([]) + found(Backbone)  # type: ignore[type-abstract]


def test_a_test_that_fails_on_many_cases_is_told_once_with_its_cause() -> None:
    reports = [_report(f"tests/x.py::test_loss_falls[{case}]") for case in ("Mine-map", "Mine-vector")]
    reports.append(_report("tests/y.py::test_is_found", ""))
    assert lines_of_failures(reports) == [
        "* loss falls: Mine-map and 1 more",
        "    Pool first.",
        "    Or refuse it.",
        "* is found",
    ]


def _report(name: str, hint: str = "Pool first.\nOr refuse it.") -> pytest.TestReport:
    return pytest.TestReport(name, ("", 0, ""), {}, "failed", None, "call", user_properties=[("hint", hint)])
