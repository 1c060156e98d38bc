"""Seeded damage to each file of a data set: loaded, trained on and predicted right, or a short error names the file."""

from pathlib import Path

import pytest

from tests.benchmarks.fuzzing import KINDS, fuzz

CASES, OF_PICTURES, MANY = 24, 12, 600  # of each kind
MANY_RUNS = 150  # whole runs are slow


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.slow])
def test_damaged_files_load_right_or_are_named(tmp_path: Path, kind: str) -> None:
    cases = OF_PICTURES if KINDS[kind].pictures else CASES
    found = fuzz(tmp_path, KINDS[kind], cases)
    assert found.others == []
    assert found.right + found.refused == cases
    assert found.refused  # the damage is real


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files_load_right_or_are_named(tmp_path: Path, kind: str) -> None:
    assert fuzz(tmp_path, KINDS[kind], MANY_RUNS if KINDS[kind].slow else MANY, first=CASES).others == []
