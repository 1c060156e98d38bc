"""Runs on a Ray cluster of two machines, which are processes here; and what is said without a cluster."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.cli.main import main
from mtl.config.yaml_lines import ConfigError
from mtl.experiments.ray_launcher import RayLauncher

ray = pytest.importorskip("ray")
# waits for the other one: with one CPU on each machine that needs both machines
MEET = """
import pathlib, sys, time
own, other = map(pathlib.Path, sys.argv[1:])
own.touch()
for _ in range(600):
    if other.exists():
        print("met"); sys.exit(4)
    time.sleep(0.05)
"""
SMALL = [
    *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--data.num_train", "8", "--data.num_val", "4"),
    *("--data.num_test", "4", "--data.batch_size", "4", "--data.num_workers", "0"),
]


@pytest.mark.slow
def test_both_machines_take_runs_and_tell_the_exit_code(cluster: str, tmp_path: Path) -> None:
    place = RayLauncher(cluster)
    script = tmp_path / "meet.py"
    script.write_text(MEET)
    names = ["a", "b"]
    pairs = zip(names, reversed(names), strict=True)
    runs = [
        place([sys.executable, str(script), str(tmp_path / own), str(tmp_path / other)], tmp_path / f"{own}.log", {})
        for own, other in pairs
    ]
    assert [run.wait() for run in runs] == [4, 4]
    assert (tmp_path / "a.log").read_text() == "met\n"


@pytest.mark.slow
def test_a_run_that_is_stopped_ends_on_its_machine(cluster: str, tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text(
        "import pathlib, sys, time\n"
        "for n in range(3000): pathlib.Path(sys.argv[1]).write_text(str(n)); time.sleep(0.02)\n"
    )
    run = RayLauncher(cluster)([sys.executable, str(script), str(tmp_path / "count")], tmp_path / "long.log", {})
    wait_for(lambda: (tmp_path / "count").exists())
    run.terminate()
    assert run.wait() != 0
    wait_for(lambda: is_still(tmp_path / "count"))


@pytest.mark.slow
def test_a_run_that_waits_for_a_machine_is_stopped_before_it_starts(cluster: str, tmp_path: Path) -> None:
    run = RayLauncher(cluster, cpus=2)([sys.executable, "-c", "print('ran')"], tmp_path / "long.log", {})
    time.sleep(0.5)  # no machine has two CPUs
    run.terminate()
    assert run.wait() == 1
    assert "Ray lost the run" in (tmp_path / "long.log").read_text()
    assert "ran" not in (tmp_path / "long.log").read_text().split()


@pytest.mark.slow
def test_a_comparison_is_trained_on_the_cluster(cluster: str, tmp_path: Path, capsys: Any) -> None:
    root = Path(__file__).resolve().parents[3]
    file = tmp_path / "two.yaml"
    config = str(root / "configs/digits.yaml")
    file.write_text(
        yaml.safe_dump({"config": config, "seeds": 1, "tune": 0, "single_tasks": False, "methods": ["Equal", "MGDA"]})
    )
    words = ["compare", "--config", str(file), "--runs_root", str(tmp_path / "out"), "--jobs", "2", "--ray", cluster]
    assert main([*words, *SMALL]) == 0, capsys.readouterr()
    assert (tmp_path / "out/Equal/seed0/results.json").is_file()
    assert "MGDA" in (tmp_path / "out/report.md").read_text()


def test_without_a_cluster_it_says_how_to_start_one() -> None:
    if ray.is_initialized():
        pytest.skip("this process has joined a cluster")
    with pytest.raises(ConfigError, match="there is no Ray cluster. Start one"):
        RayLauncher("auto")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'pip install "mtl\[ray\]"'):
        RayLauncher("local")


def wait_for(what: Any) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_still(file: Path) -> bool:
    before = file.read_text()
    time.sleep(0.5)
    return before == file.read_text()
