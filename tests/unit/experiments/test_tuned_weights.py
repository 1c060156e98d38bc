"""The choice among fixed weights, from what the runs leave on the disk."""

import json
from pathlib import Path

import pytest

from mtl.experiments.comparison import Cell
from mtl.experiments.tuned_weights import best_try

TASKS = {
    "boxes": {"monitor": "map", "lower_is_better": []},
    "normals": {"monitor": "mean", "lower_is_better": ["mean"]},
}


def a_run(folder: Path, number: int, *rows: tuple[float, float, float]) -> Cell:
    """A run that is done, with a validation after each step: score, mAP, degrees."""
    cell = Cell(folder, f"try{number}", folder / "base.yaml", {}, {})
    cell.path.mkdir(parents=True)
    lines = [f"{step},{','.join(map(str, row))}" for step, row in enumerate(rows)]
    header = "step,val/score,val/boxes/map,val/normals/mean"
    (cell.path / "metrics.csv").write_text("\n".join([header, *lines]) + "\n")
    (cell.path / "results.json").write_text(json.dumps({"test/score": 0.1, "meta": {"tasks": TASKS, "steps": 1}}))
    return cell


def test_a_task_counts_by_what_it_gains_and_not_by_its_unit(tmp_path: Path) -> None:
    # 1 / (1 + 20) and 1 / (1 + 10) differ by less than what the boxes lose
    tries = [a_run(tmp_path, 0, (0.274, 0.50, 20.0)), a_run(tmp_path, 1, (0.270, 0.45, 10.0))]
    assert best_try(tries) == 1  # -10 % and +50 %
    tries.append(a_run(tmp_path, 2, (0.30, 0.52, 24.0)))  # +4 % and -20 %
    assert best_try(tries) == 1


def test_the_metrics_are_of_the_checkpoint_that_is_tested(tmp_path: Path) -> None:
    plain = a_run(tmp_path, 0, (0.5, 0.5, 20.0))
    # better in normals at first, where its score was lower
    other = a_run(tmp_path, 1, (0.4, 0.5, 5.0), (0.49, 0.49, 20.0))
    assert best_try([plain, other]) == 0


@pytest.mark.parametrize("boxes", [0.0, float("nan")])
def test_without_a_gain_the_score_decides(tmp_path: Path, boxes: float) -> None:
    tries = [a_run(tmp_path, 0, (0.1, boxes, 20.0)), a_run(tmp_path, 1, (0.3, 0.2, 30.0))]
    assert best_try([*tries, a_run(tmp_path, 2, (0.2, 0.2, 10.0))]) == 1


def test_runs_that_are_not_done_are_passed_over(tmp_path: Path) -> None:
    missing = Cell(tmp_path, "try9", tmp_path / "base.yaml", {}, {})
    assert best_try([missing]) is None
    assert best_try([missing, a_run(tmp_path, 0, (0.1, 0.1, 1.0))]) == 1
