"""Curves of several runs: seeds are a mean and a band."""

import statistics
from pathlib import Path
from typing import Any

import pytest

from mtl.cli.main import main
from mtl.cli.plot import groups_of
from mtl.config.yaml_lines import ConfigError
from mtl.drawing import run_curves
from mtl.drawing.run_curves import draw_run_curves, mean_and_spread


def write(folder: Path, values: dict[int, float | str]) -> Path:
    folder.mkdir(parents=True)
    rows = "".join(f"{step},{value}\n" for step, value in values.items())
    (folder / "metrics.csv").write_text(f"step,val/score\n{rows}")
    return folder


def test_mean_and_spread_at_the_steps_that_all_runs_have() -> None:
    steps, means, spreads = mean_and_spread([([1, 2, 3], [0.0, 1.0, 9.0]), ([1, 2], [2.0, 4.0])])
    assert (steps, means) == ([1, 2], [1.0, 2.5])
    assert spreads == [statistics.stdev([0, 2]), statistics.stdev([1, 4])]
    assert mean_and_spread([([5], [0.25])]) == ([5], [0.25], [0.0])
    with pytest.raises(ValueError, match="share no step"):
        mean_and_spread([([1], [0.0]), ([2], [0.0])])


def test_seeds_of_one_folder_are_a_group_and_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    runs = [write(tmp_path / "Equal" / f"seed{seed}", {1: seed, 2: "nan", 3: 1.0}) for seed in (0, 1)]
    runs.append(write(tmp_path / "digits" / "first", {1: 0.5}))
    groups = groups_of(runs, "val/score")
    assert groups == {"Equal": [([1, 3], [0.0, 1.0]), ([1, 3], [1.0, 1.0])], "digits/first": [([1], [0.5])]}
    assert len(groups_of(runs, "val/score", each=True)) == 3
    with pytest.raises(ConfigError, match="Did you mean 'val/score'"):
        groups_of(runs, "val/scor")
    with pytest.raises(ConfigError, match="no metrics.csv"):
        groups_of([tmp_path], "val/score")


def test_seeds_of_two_comparisons_are_two_groups_also_where_their_folders_are_called_alike(tmp_path: Path) -> None:
    runs = [write(tmp_path / data / "Equal" / "seed0", {1: value}) for data, value in (("digits", 0.0), ("rooms", 1.0))]
    assert groups_of(runs, "val/score") == {"digits/Equal": [([1], [0.0])], "rooms/Equal": [([1], [1.0])]}
    more = [write(tmp_path / data / "x" / "first", {1: 0.5}) for data in ("digits", "rooms")]
    assert list(groups_of(more, "val/score")) == ["digits/x/first", "rooms/x/first"]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str, start: bytes) -> None:
    assert draw_run_curves({"$x": [([1, 2], [0.0, 1.0]), ([1, 2], [1.0, 1.0])]}, "val/score", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_command(tmp_path: Path, capsys: Any) -> None:
    run = write(tmp_path / "x" / "seed0", {1: 0.5, 2: 0.75})
    out = tmp_path / "curves.svg"
    assert main(["plot", str(run), "--to", str(out)]) == 0
    assert out.is_file()
    assert main(["plot", str(run), "--to", str(tmp_path / "a.txt")]) == 2
    (tmp_path / "link.png").symlink_to(out)
    assert main(["plot", str(run), "--to", str(tmp_path / "link.png")]) == 2
    assert "is a link" in capsys.readouterr().err


def test_a_copy_for_papers_is_written_beside_the_picture_and_is_the_same_each_time(tmp_path: Path) -> None:
    run, out = write(tmp_path / "a/b", {1: 0.1, 2: 0.2}), tmp_path / "curves.png"
    assert main(["plot", str(run), "--to", str(out), "--format", "pdf", "svg"]) == 0
    first = {name: (tmp_path / f"curves.{name}").read_bytes() for name in ("pdf", "svg")}
    assert first["pdf"].startswith(b"%PDF")
    assert b">val/score<" in first["svg"], "letters stay letters"
    assert main(["plot", str(run), "--to", str(out), "--format", "pdf", "svg"]) == 0
    assert {name: (tmp_path / f"curves.{name}").read_bytes() for name in first} == first
    (tmp_path / "curves.pdf").unlink()
    assert main(["plot", str(run), "--to", str(out)]) == 0
    assert not (tmp_path / "curves.pdf").exists(), "formats of one command are not those of the next"


def test_a_logarithmic_axis_has_the_steps_as_its_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(run_curves, "save_figure", lambda figure, path: drawn.append(figure))
    draw_run_curves({"a": [([25, 800], [1.0, 0.5])], "b": [([75], [0.7])]}, "x", tmp_path / "a.png", log_x=True)
    (axis,) = drawn[0].axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["25", "75", "800"]
    assert not axis.get_xticklabels(minor=True)


def test_a_run_that_has_no_number_yet_is_left_out_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = [write(tmp_path / "x" / f"seed{seed}", {1: seed}) for seed in (0, 1)]
    failed, killed = tmp_path / "x" / "failed", write(tmp_path / "x" / "killed", {})
    failed.mkdir()
    (failed / "config.yaml").write_text("data: {}\n")
    (killed / "metrics.csv").write_text("step,train/loss\n1,2.0\n")
    assert groups_of([*runs, failed, killed], "val/score") == groups_of(runs, "val/score")
    assert f"left out, without val/score: {failed}, {killed}" in caplog.text
    with pytest.raises(ConfigError, match="'val/score'. There are"):
        groups_of([failed, killed], "val/score")
