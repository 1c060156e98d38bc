"""A report from run folders: numbers by hand, files, and what is missing."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mtl.evaluation.tables.report import FAILED, error_of, read_report
from mtl.evaluation.tables.report_files import latex, markdown, write_report
from mtl.evaluation.tables.report_pictures import pareto_front

JUDGED: dict[str, Any] = {
    "boxes": {"monitor": "map", "lower_is_better": []},
    "count": {"monitor": "mae", "lower_is_better": ["mae"]},
}


def write(root: Path, row: str, seed: int, **metrics: float) -> None:
    folder = root / row / f"seed{seed}"
    folder.mkdir(parents=True)
    tasks = {name: judged for name, judged in JUDGED.items() if name in metrics}
    results: dict[str, Any] = {"test/score": sum(metrics.values())}
    results |= {f"test/{name}/{JUDGED[name]['monitor']}": value for name, value in metrics.items()}
    results |= {f"test/loss/{name}": 1.0 for name in metrics}
    results |= {"test/boxes/map/cat": 0.3} if "boxes" in metrics else {}
    meta = {"tasks": tasks, "steps": 10, "train_seconds": 0.5, "peak_memory_mb": 100.0}
    (folder / "results.json").write_text(json.dumps({**results, "meta": meta}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in range(3):
        write(tmp_path, "boxes-alone", seed, boxes=0.5)
        write(tmp_path, "count-alone", seed, count=0.2)
        write(tmp_path, "Equal", seed, boxes=0.5 + seed / 100, count=0.2)
        write(tmp_path, "MGDA", seed, boxes=0.6 + seed / 50, count=0.1)
    return tmp_path


def test_gains_ranks_tests_and_cost_by_hand(runs: Path) -> None:
    report = read_report(runs)
    assert [row.name for row in report.ordered()] == ["MGDA", "Equal"]
    assert set(report.singles) == {"boxes", "count"}
    assert [metric.key for metric in report.metrics] == ["boxes/map", "count/mae"]
    mgda = report.ordered()[0]
    # (0.6 / 0.5 - 1 + 0.5) / 2 for the first seed
    assert report.gains(mgda, "delta_m") == pytest.approx([35.0, 37.0, 39.0])
    assert report.gains(mgda, "delta_m_flat") == pytest.approx([-35.0, -37.0, -39.0])
    assert report.ranks() == {"Equal": 2.0, "MGDA": 1.0}
    assert report.tests("Equal")["MGDA"] < 0.5
    assert report.tests("no such row") == {}
    assert mgda.cost() == (50.0, 100.0)


def test_the_interval_of_a_gain_holds_the_spread_of_single_tasks(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, "boxes-alone", seed, boxes=0.4 + seed / 10)
        write(tmp_path, "count-alone", seed, count=0.2)
        write(tmp_path, "Equal", seed, boxes=0.5, count=0.2)
    report = read_report(tmp_path)
    equal = report.ordered()[0]
    assert report.gains(equal, "delta_m") == pytest.approx([0, 0, 0])
    # 0.5 against 0.6 and against 0.4; the other task stays the same
    assert report.gain_interval(equal, "delta_m") == pytest.approx((-100 / 12, 12.5))


def test_a_metric_that_is_0_alone_and_judges_no_task_leaves_the_gains(runs: Path) -> None:
    """Such as the share of transcripts that are too long; where a task is judged by it, there is no gain at all."""
    for file in runs.glob("*/*/results.json"):
        found = json.loads(file.read_text())
        if "count" in found["meta"]["tasks"]:
            found["test/count/infeasible"] = 0.0 if "alone" in str(file) else 0.5
            found["meta"]["tasks"]["count"]["lower_is_better"] = ["mae", "infeasible"]
            file.write_text(json.dumps(found))
    report = read_report(runs)
    assert "count/infeasible" in [metric.key for metric in report.metrics]
    assert report.without_gain() == ["count/infeasible"]
    mgda = report.ordered()[0]
    for definition, sign in (("delta_m", 1), ("delta_m_per_task", 1), ("delta_m_flat", -1)):
        assert report.gains(mgda, definition) == pytest.approx([sign * 35.0, sign * 37.0, sign * 39.0])
        low, high = report.gain_interval(mgda, definition) or (0, 0)
        assert min(sign * low, sign * high) >= 35.0 - 1e-9
    assert "Not in the gains: alone, the task has count/infeasible = 0" in markdown(report)
    for seed in range(3):
        (runs / f"boxes-alone/seed{seed}/results.json").unlink()
        (runs / f"boxes-alone/seed{seed}").rmdir()
        write(runs, "boxes-alone", seed, boxes=0.0)
    report = read_report(runs)
    assert report.baseline is None
    assert "No Delta_m: alone, the task has boxes/map" in markdown(report)


def test_a_run_whose_predictions_overflow_is_a_failed_one(runs: Path) -> None:
    path = runs / "MGDA" / "seed1" / "results.json"
    path.write_text(path.read_text().replace('"test/count/mae": 0.1', '"test/count/mae": null'))
    report = read_report(runs)
    assert report.failed == {"MGDA seed1": "count/mae of the test is not a finite number"}
    assert len(report.gains(report.ordered()[0], "delta_m")) == 2
    assert "* MGDA seed1: count/mae of the test" in markdown(report)


def test_a_metric_that_some_run_lacks_is_left_out(runs: Path) -> None:
    for path in [*runs.glob("Equal/*/results.json"), *runs.glob("MGDA/*/results.json")]:
        text = path.read_text()
        path.write_text(text.replace('"test/boxes/map":', '"test/boxes/recall": 0.5, "test/boxes/map":'))
        assert path.read_text() != text
    assert [metric.key for metric in read_report(runs).metrics] == ["boxes/map", "count/mae"]


def test_the_table_holds_every_row_and_says_what_it_means(runs: Path) -> None:
    text = markdown(read_report(runs))
    lines = text.splitlines()
    assert lines[2].startswith("| MGDA | 3 | 0.720 ± 0.020 | 0.620 ± 0.020 | 0.100 ± 0.000 | 1.0 | +37.0 ± 2.0 |")
    assert any(line.startswith("| boxes-alone | 3 |") for line in lines)
    assert "flat: mean loss over all metrics alike, lower is better" in text


def test_all_files_are_written(runs: Path) -> None:
    files = write_report(read_report(runs), runs)
    assert {file.name for file in files} == {
        "report.md",
        "report.tex",
        "report.csv",
        "report.html",
        "tasks.png",
        "delta_m.png",
    }
    assert all(file.stat().st_size > 100 for file in files)
    with (runs / "report.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert float(rows["MGDA"]["delta_m mean"]) == pytest.approx(37.0)
    assert float(rows["MGDA"]["delta_m low"]) >= 35.0
    assert rows["boxes-alone"]["delta_m mean"] == ""


def test_latex_is_a_booktabs_table_without_bare_specials(runs: Path) -> None:
    text = latex(read_report(runs))
    assert text.startswith(r"\begin{tabular}{lrr")
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert r"Delta\_m, \%" in text
    assert r"$\pm$" in text


def test_a_failed_run_is_reported_and_a_retry_that_worked_is_not(runs: Path) -> None:
    for name, seed in (("Nash", "seed0"), ("MGDA", "seed1")):
        (runs / name / seed).mkdir(parents=True, exist_ok=True)
        (runs / name / seed / FAILED).write_text(
            "exit code 1\nerror: out of memory\n  the whole traceback: add --traceback\n"
        )
    report = read_report(runs)
    assert list(report.failed) == ["Nash seed0"]
    assert "* Nash seed0: error: out of memory" in markdown(report)
    assert [error_of(text) for text in ("Killed\n", "")] == ["Killed", "no output"]


def test_without_single_tasks_there_are_no_gains(tmp_path: Path) -> None:
    write(tmp_path, "Equal", 0, boxes=0.5, count=0.2)
    report = read_report(tmp_path)
    assert report.baseline is None
    assert "Delta_m" not in markdown(report)
    assert "Fewer than 3 seeds" in markdown(report)
    assert {file.name for file in write_report(report, tmp_path)} >= {"tasks.png"}


def test_nothing_to_report_says_how_to_get_something(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished run.*mtl compare --config"):
        read_report(tmp_path)


def test_the_pareto_front_by_hand() -> None:
    points = {"a": (1.0, 5.0), "b": (2.0, 4.0), "c": (1.5, 6.0), "d": (3.0, 6.0)}
    assert pareto_front(points, (1, 1)) == ["d"]
    assert pareto_front(points, (1, -1)) == ["b", "d"]
