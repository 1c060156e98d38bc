"""The plan of a comparison, its queue, and what is refused. The runs are stood in for by a small script."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.cli import compare
from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.evaluation.tables.report import FAILED
from mtl.experiments import run_queue
from mtl.experiments.comparison import Cell, merged, read_comparison
from tests.contract.kit.places import flags_of_places

ROOT = Path(__file__).resolve().parents[3]
COMPARISONS = sorted((ROOT / "configs/compare").glob("*.yaml"))
# takes what `fit` would, and leaves what it would
STAND_IN = """
import json, pathlib, sys, yaml
word = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder = pathlib.Path(word["--runs_root"]) / word["--experiment"] / word["--name"]
overlay = yaml.safe_load(pathlib.Path(word["--overlay"]).read_text())
gone = [name for name, head in overlay.get("model", {}).get("heads", {}).items() if head is None]
if word["--experiment"] == "MGDA" and word["--seed_everything"] == "1":
    print("error: no luck"); sys.exit(3)
if "--resume" in word:
    assert pathlib.Path(word["--resume"]) == folder and (folder / "config.yaml").is_file()
    (folder / "resumed").touch()
folder.mkdir(parents=True, exist_ok="--resume" in word)
weights = (overlay.get("model", {}).get("loss_weights") or {}).get("largest", 1)
(folder / "metrics.csv").write_text(f"step,val/score\\n5,{weights}\\n")
monitors = {"boxes": "map", "largest": "accuracy"}
tasks = {t: {"monitor": m, "lower_is_better": []} for t, m in monitors.items() if t not in gone}
results = {f"test/{t}/{v['monitor']}": 0.5 + int(word["--seed_everything"]) / 10 for t, v in tasks.items()}
results |= {"test/score": 0.5, "meta": {"tasks": tasks, "steps": 1, "train_seconds": 60.0}}
(folder / "results.json").write_text(json.dumps(results))
"""


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "base.yaml").write_text(
        yaml.safe_dump({"model": {"heads": {"boxes": "A", "largest": "B"}}, "trainer": {"max_steps": 500}})
    )
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    file = tmp_path / "both.yaml"
    file.write_text(yaml.safe_dump({"config": "base.yaml", "seeds": 2, "tune": 3, "methods": ["Equal", "MGDA"]}))
    real = run_queue.RunQueue.command

    def command(self: Any, cell: Cell) -> list[str]:
        words = real(self, cell)
        assert words[:4] == [sys.executable, "-m", "mtl", "fit"]
        rest = words[4:]
        del rest[:4]
        return [sys.executable, str(tmp_path / "stand_in.py"), "--overlay", str(cell.settings_file), *rest]

    monkeypatch.setattr(run_queue.RunQueue, "command", command)
    monkeypatch.setattr(compare, "refuse_wrong_rows", lambda *_: None)  # the stand-in reads no config
    return file


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_every_comparison_that_comes_along_is_read(path: Path, tmp_path: Path) -> None:
    comparison = read_comparison(path)
    cells = comparison.cells(tmp_path)
    names = [cell.path for cell in cells]
    if comparison.taught:  # students, and no methods
        assert {cell.wave for cell in cells} == {0, 1}
        return
    assert len(set(names)) == len(names) >= 9
    rows = {cell.folder.name for cell in cells}
    assert rows & {"Equal", "joint"}
    assert ("Fixed-tuned" in rows) == (comparison.tune > 0)


def test_it_trains_reports_goes_on_and_retries(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out"), "--jobs", "2"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "1 runs failed: MGDA seed1" in said.err.replace("\n", " ")
    assert "* MGDA seed1: error: no luck" in said.out
    # the largest weight has the best score in the stand-in
    overlay = yaml.safe_load((tmp_path / "out/Fixed-tuned/seed0.yaml").read_text())
    tries = [yaml.safe_load((tmp_path / f"out/search/try{n}.yaml").read_text()) for n in range(3)]
    assert overlay == max(tries, key=lambda found: found.get("model", {}).get("loss_weights", {}).get("largest", 1))
    results = sorted(
        path.parent.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/*/seed*/results.json")
    )
    assert results == sorted(
        f"{row}/seed{s}" for row in ("Equal", "Fixed-tuned", "MGDA", "boxes-alone", "largest-alone") for s in (0, 1)
        if (row, s) != ("MGDA", 1)
    )  # fmt: skip
    assert "no luck" in (tmp_path / "out/MGDA/seed1" / FAILED).read_text()
    # what is done stays; the failed one is tried again
    before = (tmp_path / "out/Equal/seed0/results.json").stat().st_mtime_ns
    (tmp_path / "stand_in.py").write_text(STAND_IN.replace('== "MGDA"', '== "none"'))
    assert main(words) == 0
    assert (tmp_path / "out/MGDA/seed1/results.json").is_file()
    assert (tmp_path / "out/Equal/seed0/results.json").stat().st_mtime_ns == before
    (tmp_path / "out/report.md").unlink()
    assert main(["report", "--runs", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/report.md").is_file()


def test_a_run_that_was_cut_off_is_resumed_and_one_of_other_settings_begins_anew(
    comparison: Path, tmp_path: Path
) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out"), "--jobs", "2"]
    for row, overlay in (("boxes-alone", None), ("largest-alone", {"model": {"width": 3}})):
        run = tmp_path / "out" / row / "seed0"
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
        cell = next(cell for cell in read_comparison(comparison).cells(tmp_path / "out") if cell.path == run)
        cell.settings_file.write_text(yaml.safe_dump(overlay or cell.overlay))
    main(words)
    assert (tmp_path / "out/boxes-alone/seed0/resumed").is_file()
    assert (tmp_path / "out/largest-alone/seed0/results.json").is_file()
    assert not (tmp_path / "out/largest-alone/seed0/resumed").exists()


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN, signal.default_int_handler], ids=["background", "foreground"])
def test_sigterm_ends_the_runs_and_the_same_command_goes_on(
    comparison: Path, tmp_path: Path, capsys: Any, ctrl_c: Any
) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out")]
    taken = "import os, signal, time\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(600)\n"
    (tmp_path / "stand_in.py").write_text(taken)
    before = signal.getsignal(signal.SIGTERM)
    before_int = signal.signal(signal.SIGINT, ctrl_c)
    try:
        assert main(words) == 130
    finally:
        signal.signal(signal.SIGINT, before_int)
    assert signal.getsignal(signal.SIGTERM) == before
    assert "stopped; running trainings save their state first. The same command continues." in capsys.readouterr().out
    assert not list(tmp_path.glob(f"out/*/*/{FAILED}"))
    (tmp_path / "stand_in.py").write_text(STAND_IN.replace('== "MGDA"', '== "none"'))
    assert main(words) == 0


def test_a_run_that_a_killed_comparison_has_left_running_is_waited_for(comparison: Path, tmp_path: Path) -> None:
    run = tmp_path / "out/Equal/seed0"
    run.mkdir(parents=True)
    orphan = (
        "import fcntl, pathlib, sys, time; run = pathlib.Path(sys.argv[1]); lock = (run / '.lock').open('w')\n"
        "fcntl.lockf(lock, fcntl.LOCK_EX); print('here', flush=True); time.sleep(2)\n"
        "(run / 'results.json').write_text(sys.argv[2])"
    )
    monitors = {"boxes": "map", "largest": "accuracy"}
    tasks = {task: {"monitor": name, "lower_is_better": []} for task, name in monitors.items()}
    result = {"test/boxes/map": 0.25, "test/largest/accuracy": 0.25, "test/score": 0.25, "meta": {"tasks": tasks}}
    command = [sys.executable, "-c", orphan, str(run), json.dumps(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        main(["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out"), "--jobs", "2"])
        assert process.wait() == 0
    assert json.loads((run / "results.json").read_text())["test/score"] == 0.25


def test_runs_of_other_settings_are_never_mixed(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    root = tmp_path / "out"
    words = ["compare", "--config", str(comparison), "--runs_root", str(root), "--jobs", "2"]
    main(words)
    assert main([*words, "--trainer.max_steps", "5"]) == 2
    assert f"{root} holds another comparison; it differs in flags.trainer.max_steps." in one_line(capsys)
    main([*words, "--tracking.wandb", "off"])  # changes no result
    assert "another comparison" not in one_line(capsys)
    values = yaml.safe_load(comparison.read_text())
    changed = {"name": "MGDA", "method": "MGDA", "at": "parameters"}
    comparison.write_text(yaml.safe_dump({**values, "methods": ["Equal", "PCGrad", changed]}))
    assert main(words) == 2
    assert f"have changed since they were trained: {root / 'MGDA/seed0'}. Delete" in one_line(capsys)
    comparison.write_text(yaml.safe_dump({**values, "methods": ["Equal", "PCGrad"]}))
    main(words)
    assert (root / "PCGrad/seed1/results.json").is_file()
    base = tmp_path / "base.yaml"
    base.write_text(base.read_text().replace("500", "600"))
    assert main(words) == 2
    said = one_line(capsys)
    assert f"differs in config.trainer.max_steps. Give this one another --runs_root; or delete {root}" in said


def test_more_configs_and_flags_that_append_are_settings_too(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out")]
    twice = ["--trainer.callbacks+=A", "--trainer.callbacks+=B"]
    main([*words, "--jobs", "4", *twice])
    capsys.readouterr()
    assert main([*words, twice[1]]) == 2
    assert "differs in flags.trainer.callbacks+." in one_line(capsys)
    (tmp_path / "more.yaml").write_text("trainer: {max_steps: 600}")
    assert main([*words, *twice, "-c", str(tmp_path / "more.yaml")]) == 2
    assert "differs in config.trainer.max_steps." in one_line(capsys)


def one_line(capsys: Any) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_dry_run_shows_the_plan_and_trains_nothing(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out"), "--dry_run"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "6 rows, 13 runs, 0 done" in said
    assert "13 runs of 500 steps; how long they take is known once one is done" in said
    assert not (tmp_path / "out").exists()
    assert main([*words, "--trainer.max_steps", "7"]) == 0
    assert "13 runs of 7 steps" in capsys.readouterr().out
    folder = tmp_path / "out/Equal/seed0"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"meta": {"train_seconds": 60.0}}))
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "about 12 min with --jobs 1" in said


@pytest.mark.nightly
@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_every_shipped_comparison_has_a_plan(path: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", "--config", str(path), "--runs_root", str(tmp_path / "out"), "--dry_run"]
    comparison = read_comparison(path)
    with suppress(pytest.skip.Exception):  # most plans need no data; a vocabulary does
        words += [f"--{key}={value}" for key, value in flags_of_places(read_config([comparison.config])).items()]
    assert main(words) == 0
    planned = comparison.cells(tmp_path / "out")
    said = capsys.readouterr().out
    assert "0 done" in said.splitlines()[0]
    rows = {cell.folder.relative_to(tmp_path / "out").as_posix() for cell in planned}
    assert all(f"  {name}: 0 of " in said for name in rows)
    assert not (tmp_path / "out").exists()


def test_variants_are_comparisons_of_their_own(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    values = yaml.safe_load(comparison.read_text())
    values["variants"] = {"small": {"trainer": {"callbacks+": ["A"]}}, "wide": {"model": {"width": 2}}}
    comparison.write_text(yaml.safe_dump(values))
    cells = read_comparison(comparison).cells(tmp_path)
    assert len(cells) == 2 * 2 * 5
    assert main(["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out"), "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "  small/Equal: 0 of 2 done" in said
    assert "  wide/Equal: 0 of 2 done" in said
    small = next(cell for cell in cells if cell.path == tmp_path / "small/MGDA/seed1")
    assert [
        entry if isinstance(entry, str) else entry["class_path"] for entry in small.overlay["trainer"]["callbacks+"]
    ] == [
        "A",
        "LossBalancing",
    ]


def test_variants_have_a_report_each_and_one_together(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    values = {"variants": {"small": {}, "wide": {"model": {"width": 2}}}, "tune": 0, "methods": ["Equal"]}
    comparison.write_text(yaml.safe_dump({**yaml.safe_load(comparison.read_text()), **values}))
    root = tmp_path / "out"
    assert main(["compare", "--config", str(comparison), "--runs_root", str(root), "--jobs", "2"]) == 0
    (root / "report.md").unlink()
    (root / "wide" / "report.tex").unlink()
    assert main(["report", "--runs", str(root)]) == 0
    together = (root / "report.md").read_text()
    for variant in ("small", "wide"):
        assert f"## {variant}\n\n{(root / variant / 'report.md').read_text().strip()}" in together
        assert (root / variant / "report.tex").is_file()
    assert "## wide" in capsys.readouterr().out


def test_overlays_merge_and_appended_lists_grow() -> None:
    low = {"a": {"x": 1, "l+": [1]}, "b": 1}
    assert merged(low, {"a": {"y": 2, "l+": [2]}, "b": None}) == {"a": {"x": 1, "y": 2, "l+": [1, 2]}, "b": None}
    assert low == {"a": {"x": 1, "l+": [1]}, "b": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": ["all"]}, "no key 'method'. Did you mean 'methods'"),
        ({"methods": ["MGDAA"]}, "no balancing method 'MGDAA'. Did you mean 'MGDA'"),
        ({"methods": ["Own"]}, "needs its full name, such as mypaper.methods.Own, and --allow mypaper"),
        ({"methods": [{"name": "a b", "method": "MGDA"}]}, "becomes the name of a folder"),
        ({"methods": [{"name": "a"}]}, "a `name` with either a `method` or an `overlay`"),
        ({"methods": ["MGDA", "MGDA"]}, "two rows are called 'MGDA'"),
        ({"config": "none.yaml"}, "`config` must name the config"),
        ({"seeds": 0}, "`seeds` must be a whole number"),
    ],
)
def test_mistakes_are_named(comparison: Path, change: dict[str, Any], message: str, capsys: Any) -> None:
    comparison.write_text(yaml.safe_dump({**yaml.safe_load(comparison.read_text()), **change}))
    assert main(["compare", "--config", str(comparison)]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_missing_file_is_named(capsys: Any) -> None:
    assert main(["compare", "--config", "nowhere.yaml"]) == 2
    assert "there is no comparison file 'nowhere.yaml'" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("dry", [[], ["--dry_run"]])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trainer.max_stepz", "4"], "has no setting 'max_stepz'. Did you mean 'max_steps'?"),
        (["--seed_everything", "3"], "--seed_everything 3: a comparison sets this itself"),
        (["--name", "foo"], "--name foo: a comparison sets this itself"),
    ],
)
def test_what_the_runs_would_refuse_is_refused_before_the_first(
    dry: list[str], flags: list[str], message: str, tmp_path: Path, capsys: Any
) -> None:
    file = ROOT / "configs/compare/digits.yaml"
    words = ["compare", "--config", str(file), "--runs_root", str(tmp_path / "out"), *dry]
    assert main([*words, *flags]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_row_that_is_wrong_is_named(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "c.yaml"
    wrong = {"name": "wide", "overlay": {"model": {"backbone": {"init_args": {"widht": 8}}}}}
    config = str(ROOT / "configs/digits.yaml")
    file.write_text(yaml.safe_dump({"config": config, "single_tasks": False, "methods": ["Equal", wrong]}))
    assert main(["compare", "--config", str(file), "--runs_root", str(tmp_path / "out"), "--dry_run"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "row 'wide' of the comparison" in said
    assert "widht" in said


@pytest.mark.parametrize("dry", [[], ["--dry_run"]])
def test_methods_beside_a_config_that_balances_by_itself_are_refused_before_the_first_run(
    dry: list[str], tmp_path: Path, capsys: Any
) -> None:
    file, out = tmp_path / "c.yaml", tmp_path / "out"
    config = str(ROOT / "configs/commands.yaml")  # its tasks are balanced by UPGrad
    for methods, code in (["Equal"], 2), ([{"name": "joint", "overlay": {}}], 0):
        file.write_text(yaml.safe_dump({"config": config, "tune": 0, "methods": methods}))
        words = ["compare", "--config", str(file), "--runs_root", str(out), *dry]
        if code == 0 and not dry:
            continue  # it would train
        assert main(words) == code
        said = " ".join(capsys.readouterr().err.split())
        assert ("row 'Equal' of the comparison: trainer.callbacks holds LossBalancing twice" in said) == (code == 2)
    assert not out.exists()


def test_a_report_is_written_where_every_joint_run_failed(comparison: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out")]
    fail = 'if not gone: print("error: no luck"); sys.exit(2)\n'
    (tmp_path / "stand_in.py").write_text(STAND_IN.replace("if word[", fail + "if word[", 1))
    assert main(words) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "boxes-alone" in said
    assert "FAILED (error: no luck)" in said


def test_the_corrected_command_goes_on_after_runs_that_all_failed(
    comparison: Path, tmp_path: Path, capsys: Any
) -> None:
    words = ["compare", "--config", str(comparison), "--runs_root", str(tmp_path / "out")]
    (tmp_path / "stand_in.py").write_text('import sys; print("error: lr is too large"); sys.exit(2)')
    assert main([*words, "--trainer.max_steps", "3"]) == 1
    assert "FAILED (error: lr is too large)" in capsys.readouterr().out.replace("\n", " ")
    (tmp_path / "stand_in.py").write_text(STAND_IN.replace('== "MGDA"', '== "none"'))
    assert main([*words, "--trainer.max_steps", "4"]) == 0
    # now there are results, which another command must not mix with its own; the dry run says it too
    for dry in ([], ["--dry_run"]):
        assert main([*words, "--trainer.max_steps", "5", *dry]) == 2
        assert "holds another comparison" in capsys.readouterr().err


def test_a_method_by_its_full_name_has_a_row_by_its_short_one(comparison: Path) -> None:
    comparison.write_text(yaml.safe_dump({"config": "base.yaml", "seeds": 1, "methods": ["mypaper.methods.Own"]}))
    (cell,) = (cell for cell in read_comparison(comparison).cells(comparison.parent) if cell.folder.name == "Own")
    (callback,) = cell.overlay["trainer"]["callbacks+"]
    assert callback["init_args"] == {"method": "mypaper.methods.Own"}
