"""`pytest --method my.module.Class`: a method outside `mtl` gets every contract test of its family."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METHODS = '''
import torch
from mtl.balancing.protocols import LossWeighting

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
'''


def run(folder: Path, class_path: str) -> subprocess.CompletedProcess[str]:
    (folder / "paper_methods.py").write_text(METHODS)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--method", class_path]
    command.append("tests/contract/test_loss_methods.py")
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_right_method_passes_and_nothing_else_runs(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_methods.Halves")
    assert ran.returncode == 0, ran.stdout
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed
    assert 15 <= int(passed[1]) <= 40
    assert "deselected" in ran.stdout


@pytest.mark.slow
def test_state_outside_of_buffers_is_found(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_methods.Forgetful")
    assert ran.returncode == 1
    assert "test_a_stop_and_resume_is_bit_equal[Forgetful]" in ran.stdout


@pytest.mark.slow
def test_a_wrong_path_is_answered(tmp_path: Path) -> None:
    ran = run(tmp_path, "paper_methods.Thirds")
    assert ran.returncode == 4
    assert "paper_methods.Thirds: there is no such class" in ran.stderr
