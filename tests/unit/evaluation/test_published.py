"""Published tables: their gains recompute, and rows of a report stand among them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mtl.cli.main import main
from mtl.evaluation.tables.published import beside_published, read_published
from mtl.evaluation.tables.report import read_report

ROOT = Path(__file__).resolve().parents[3]
TABLES = sorted((ROOT / "configs/published").glob("*.csv"))
# printed with other digits than its own metrics give
MISPRINTS = {("nyuv2_segnet_mtan", "IMTL-G"), ("nyud_r50", "GradNorm"), ("nyud_r50", "hard sharing (ViT-S)")}

TABLE = """\
# title: toy
# delta: delta_m_flat
# baseline: STL
# protocol: the last epoch
method,mask/miou x100 higher,depth/abs_err lower,delta,source
STL,40,0.5,0,a paper
LS,44,0.6,5.00,a paper
"""


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_printed_gain_recomputes_from_its_row(path: Path) -> None:
    table = read_published(str(path))
    assert len(table.rows) >= 10
    assert all(table.sources.values())
    wrong = {
        name: (round(table.gain(values), 2), table.printed[name])
        for name, values in table.rows.items()
        if not math.isnan(table.printed[name]) and abs(table.gain(values) - table.printed[name]) > 0.12
    }
    assert {(path.stem, name) for name in wrong} <= MISPRINTS, wrong


def run(root: Path, row: str, seed: int, miou: float, error: float) -> None:
    folder = root / row / f"seed{seed}"
    folder.mkdir(parents=True)
    tasks: dict[str, Any] = {
        "mask": {"monitor": "miou", "lower_is_better": []},
        "depth": {"monitor": "abs_err", "lower_is_better": ["abs_err"]},
    }
    results = {"test/score": 0.5, "test/mask/miou": miou, "test/depth/abs_err": error, "meta": {"tasks": tasks}}
    (folder / "results.json").write_text(json.dumps(results))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/published").mkdir(parents=True)
    (tmp_path / "configs/published/toy.csv").write_text(TABLE)
    for seed, miou in enumerate((0.43, 0.45)):
        run(tmp_path / "runs", "Nash", seed, miou, 0.5)
    return tmp_path


def test_our_row_stands_where_its_gain_puts_it(place: Path) -> None:
    text = beside_published(read_report(place / "runs"), read_published("toy"))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    # 44 against 40 and 0.5 against 0.5: (-10 + 0) / 2
    assert rows[2] == ["| **Nash, ours** (2 seeds)", "**44**", "**0.5**", "**-5.00** |"]
    assert [row[0].strip("| ") for row in rows[3:]] == ["STL", "LS"]
    assert rows[4][-1] == "+5.00 |"
    assert "lower is better" in text
    assert "the last epoch" in text


def test_the_command_prints_and_writes_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--runs", str(place / "runs"), "--published", "toy"]) == 0
    assert "**Nash, ours** (2 seeds)" in capsys.readouterr().out
    assert (place / "runs/published.md").read_text().startswith("toy\n")


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_table_is_printed_with_its_protocol_beside_ours(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_published(str(path))
    kinds: dict[str, dict[str, Any]] = {}
    results: dict[str, Any] = {"test/score": 0.5}
    # a run with exactly the numbers of the baseline, in our units
    for metric, factor in table.factors.items():
        own = kinds.setdefault(metric.task, {"monitor": metric.name, "lower_is_better": []})
        own["lower_is_better"] += [] if metric.higher_is_better else [metric.name]
        results[f"test/{metric.key}"] = table.rows[table.baseline][metric.key] / factor
    folder = tmp_path / "runs/mine/seed0"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results | {"meta": {"tasks": kinds}}))
    assert main(["report", "--runs", str(tmp_path / "runs"), "--published", str(path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Published protocol: {table.protocol}." in printed
    for said in (table.title, "Ours: mean over seeds of the test set", f"published row {table.baseline}", "Sources: "):
        assert said in printed
    row = next(line for line in (tmp_path / "runs/published.md").read_text().splitlines() if "mine, ours" in line)
    assert row.endswith("**+0.00** |") or row.endswith("**-0.00** |")  # its own baseline gains nothing


def test_an_unknown_table_and_a_metric_that_was_not_measured_are_named(place: Path) -> None:
    with pytest.raises(ValueError, match=r"no published table 'toi'. Did you mean 'toy'"):
        read_published("toi")
    (place / "other.csv").write_text(TABLE.replace("depth/abs_err", "depth/silog"))
    with pytest.raises(ValueError, match=r"has depth/silog, which these runs do not measure"):
        beside_published(read_report(place / "runs"), read_published(str(place / "other.csv")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# delta: delta_m_flat\n", "", "does not say delta"),
        ("delta_m_flat", "delta_q", "must be one of delta_m"),
        ("lower,delta", "downward,delta", "does not end with higher or lower"),
        ("0.5,0,", "half,0,", "is no table"),
    ],
)
def test_a_damaged_table_is_refused(place: Path, old: str, new: str, message: str) -> None:
    (place / "other.csv").write_text(TABLE.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_published(str(place / "other.csv"))
