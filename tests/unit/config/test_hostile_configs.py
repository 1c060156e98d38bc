"""Configs, flags, comparisons and sweeps of an enemy: refused in a few lines, and nothing is done.

Every case wants to leave a file `hacked`, to write elsewhere, or to eat the machine. To add a try, add a line.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import mtl
from mtl.cli.main import main

Capture = pytest.CaptureFixture[str]
HEAD = "model:\n  heads:\n    largest: "
BACKBONE = "model:\n  backbone: "
OPTIMIZER = "model:\n  optim:\n    optimizer: "
TRAINER = "trainer:\n  "
CALLBACK = TRAINER + "callbacks+: "
LOGGER = TRAINER + "logger: "

OVERLAYS = {
    "a function of torch": HEAD + "{class_path: torch.utils.collect_env.run, init_args: {command: 'touch hacked'}}\n",
    "a function as optimiser": OPTIMIZER
    + "{class_path: torch._inductor.cpp_builder.run_compile_cmd, init_args: {cmd_line: 'touch hacked', cwd: .}}\n",
    "an unpickler": OPTIMIZER
    + "{class_path: lightning.fabric.utilities.cloud_io._load, init_args: {path_or_url: x, weights_only: false}}\n",
    "an unpickler of timm": HEAD
    + "{class_path: timm.models._helpers.load_state_dict, init_args: {checkpoint_path: evil.pt}}\n",
    "a lambda callback": CALLBACK
    + "{class_path: LambdaCallback, init_args: {setup: {class_path: torch.utils.collect_env.run}}}\n",
    "an alias of a module": HEAD + "{class_path: torch.utils.collect_env.subprocess.Popen, init_args: {args: touch}}\n",
    "an alias in mtl": HEAD
    + "{class_path: mtl.experiments.run_queue.subprocess.Popen, init_args: {args: [touch, hacked]}}\n",
    "a class behind an alias in mtl": HEAD + "{class_path: mtl.runs.record.Path, init_args: {}}\n",
    "a function of mtl": HEAD + "{class_path: mtl.cli.main.main, init_args: {arguments: [list]}}\n",
    "a method": HEAD + "{class_path: mtl.heads.whole.classification.ClassificationHead.metrics}\n",
    "a dunder": HEAD + "{class_path: mtl.heads.head.Head.__subclasses__}\n",
    "dunder builtins": HEAD + "{class_path: mtl.__builtins__.eval, init_args: {expression: 1}}\n",
    "a private class": HEAD + "{class_path: mtl.heads.detection.set_detection._Stage}\n",
    "a class of no place": HEAD + "{class_path: mtl.experiments.run_queue.RunQueue, init_args: {jobs: 1}}\n",
    "a runner at a callback": CALLBACK
    + "{class_path: mtl.experiments.ray_launcher.RayLauncher, init_args: {address: local}}\n",
    "a partial": HEAD + "{class_path: functools.partial, init_args: {func: os.system}}\n",
    "plain os": BACKBONE + "{class_path: os.system}\n",
    "the name alone": HEAD + "os.system\n",
    "a process": HEAD + "{class_path: subprocess.Popen, init_args: {args: [touch, hacked]}}\n",
    "the hub": HEAD + "{class_path: torch.hub.load, init_args: {repo_or_dir: a/b}}\n",
    "os through torch": HEAD + "{class_path: torch.os.system}\n",
    "eval": HEAD + "{class_path: builtins.eval}\n",
    "the parser's settings": OPTIMIZER + "{class_path: jsonargparse.set_parsing_settings}\n",
    "a script": CALLBACK + "{class_path: runpy.run_path, init_args: {path_name: evil.py}}\n",
    "an import": "data:\n  class_path: importlib.import_module\n",
    "dict_kwargs of a logger": LOGGER
    + "{class_path: mtl.callbacks.tracking.wandb_run.WandbRun, init_args: {run_dir: x}, dict_kwargs: {id: a}}\n",
    "dict_kwargs of a backbone": BACKBONE + "{class_path: ResidualFPN, dict_kwargs: {width: 4}}\n",
    "a logger that sends keys": LOGGER + "{class_path: WandbLogger, dict_kwargs: {settings: {base_url: x}}}\n",
    "a tracker": LOGGER + "{class_path: lightning.pytorch.loggers.MLFlowLogger}\n",
    "a checkpoint reader": "trainer:\n  plugins: {class_path: lightning.pytorch.plugins.TorchCheckpointIO}\n",
    "a function of a strategy": TRAINER
    + "strategy: {class_path: DDPStrategy, init_args: {ddp_comm_hook: os.system}}\n",
    "a function of a profiler": TRAINER + "profiler: {class_path: PyTorchProfiler, init_args: {schedule: os.system}}\n",
    "a function of a callback": CALLBACK
    + "{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.1, avg_fn: os.system}}\n",
    "a class at a function": CALLBACK
    + "{class_path: BackboneFinetuning, init_args: {lambda_func: {class_path: mtl.model.MultiTaskModel}}}\n",
    "a file in place of a class": BACKBONE + "evil.yaml\n",
    "a file in place of a section": "model: evil.yaml\n",
    "a file in place of the trainer": "trainer: ./evil.json\n",
    "a tag": "model: !!python/object/apply:os.system ['touch hacked']\n",
    "a tag of a module": "model: !!python/module:os\n",
    "a checkpoint elsewhere": "checkpoint: {filename: ../../escape}\n",
    "a checkpoint at the root": "checkpoint: {filename: /escape}\n",
    "another checkpoint elsewhere": CALLBACK + "{class_path: ModelCheckpoint, init_args: {filename: ../escape}}\n",
    "a profile elsewhere": "trainer:\n  profiler: {class_path: SimpleProfiler, init_args: {filename: ../../escape}}\n",
    "a log elsewhere": "trainer:\n  logger: {class_path: CSVLogger, init_args: {save_dir: x, version: ../../escape}}\n",
    "an experiment elsewhere": "experiment: ../escape\n",
    "a name that is a flag": "name: -rf\n",
    "a name that is an option": "name: --help\n",
    "a name of a folder above": "name: ..\n",
    "a very long name": f"name: {'a' * 300}\n",
    "an include of a system file": "base: /etc/passwd\n",
    "an include of an address": "base: http://127.0.0.1:1/evil.yaml\n",
    "anchors in anchors": "a: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "merges in merges": "a: &a {x: 1, y: 2}\n"
    + "".join(f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "an anchor that holds itself": "a: &a [*a]\n",
    "deep lists": "model: " + "[" * 3000 + "]" * 3000 + "\n",
    "deep dicts": "model: " + "{a: " * 900 + "1" + "}" * 900 + "\n",
    "very many keys": "".join(f"key{number}: 1\n" for number in range(120_000)),
    "many unknown keys": "".join(f"key{number}: 1\n" for number in range(9_000)),
    "many keys of a head": HEAD + "{init_args: {" + ", ".join(f"key{number}: 1" for number in range(3_000)) + "}}\n",
    "a zero byte": 'model: "\x00"\n',
    "an endless number": f"seed_everything: {'9' * 5000}\n",
    "a negative seed": "seed_everything: -1\n",
}


@pytest.fixture
def paper(folder: Path) -> Path:
    """A package of the user's that leaves a trace when it is imported."""
    (folder / "paper").mkdir()
    trace = "import pathlib\npathlib.Path('hacked').touch()\n"
    head = (
        "from mtl.heads.whole.classification import ClassificationHead\nclass MyHead(ClassificationHead):\n    pass\n"
    )
    (folder / "paper" / "heads.py").write_text(trace + head)
    return folder


def overlay(folder: Path, text: str) -> list[str]:
    (folder / "more.yaml").write_text(text)
    return ["fit", "--config", "tiny.yaml", "--config", "more.yaml"]


def refused(words: list[str], folder: Path, capsys: Capture) -> str:
    """Run a command that must be refused: exit code 2, at most five lines, and nothing is left behind."""
    before = {path.relative_to(folder) for path in folder.rglob("*")}
    started = time.process_time()
    assert main(words) == 2
    assert time.process_time() - started < 20
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") <= 5
    assert {path.relative_to(folder) for path in folder.rglob("*")} == before
    return said


@pytest.mark.parametrize("case", OVERLAYS)
def test_a_hostile_config_is_refused_before_anything_is_done(folder: Path, capsys: Capture, case: str) -> None:
    (folder / "evil.yaml").write_text("class_path: os.system\n")
    (folder / "evil.json").write_text("{}")
    refused(overlay(folder, OVERLAYS[case]), folder, capsys)


@pytest.mark.parametrize(
    "flags",
    [
        ["--model.heads.largest", "os.system"],
        ["--model.heads.largest.class_path", "torch.utils.collect_env.run"],
        ["--model.backbone", "{class_path: torch.utils.collect_env.run, init_args: {command: touch hacked}}"],
        ["--trainer.callbacks+", "LambdaCallback"],
        ["--trainer.logger", "{class_path: WandbLogger}"],
        ["--checkpoint.filename", "../escape"],
        ["--model", "evil.yaml"],
        ["--name", "../escape"],
        ["--model.backbone", "[" * 3000],
        ["--seed_everything", "-1"],
    ],
)
def test_a_hostile_flag_is_refused(folder: Path, capsys: Capture, flags: list[str]) -> None:
    (folder / "evil.yaml").write_text("backbone: {class_path: os.system}\n")
    refused(["fit", "--config", "tiny.yaml", *flags], folder, capsys)


def test_a_module_nobody_allowed_is_not_imported(paper: Path, capsys: Capture) -> None:
    said = refused(overlay(paper, HEAD + "\n      class_path: paper.heads.MyHead\n"), paper, capsys)
    assert "refused to import 'paper.heads.MyHead'" in said
    assert "`--allow paper` or MTL_ALLOW=paper" in said
    assert "more.yaml:4: class_path: " in said


def test_a_module_the_user_allows_is_used(paper: Path) -> None:
    # a process of its own: a head that was imported once would be found by other tests
    lines = overlay(paper, HEAD + "\n      class_path: paper.heads.MyHead\n")
    words = [*lines, "--allow", "paper", "--trainer.max_steps", "1", "--name", "mine"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-m", "mtl", *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (paper / "hacked").exists(), "the head of the user was imported"
    config = (paper / "runs" / "tiny" / "mine" / "config.yaml").read_text()
    assert "class_path: paper.heads.MyHead" in config


def test_a_function_of_an_allowed_module_is_refused_all_the_same(folder: Path, capsys: Capture) -> None:
    (folder / "allowed_once.py").write_text(
        "from subprocess import Popen\nfrom mtl.heads.head import Head\n"
        "def make(*_, **__) -> Head:\n    open('hacked', 'w')\n"
    )
    for name, reason in (("make", "it is a function"), ("Popen", "it is another name of 'subprocess.Popen'")):
        words = overlay(folder, HEAD + f"{{class_path: allowed_once.{name}}}\n")
        assert main([*words, "--allow", "allowed_once"]) == 2
        assert reason in capsys.readouterr().err
    assert not (folder / "hacked").exists()


COMPARISONS: dict[str, dict[str, Any]] = {
    "a row above": {"methods": [{"name": "..", "method": "UPGrad"}]},
    "a row elsewhere": {"methods": [{"name": "../escape", "method": "UPGrad"}]},
    "a row that is a flag": {"methods": [{"name": "-rf", "method": "UPGrad"}]},
    "a variant elsewhere": {"variants": {"../../escape": {}}},
    "a seed that allows code": {"seed_keys": ["allow"]},
    "a seed that is a checkpoint": {"seed_keys": ["ckpt_path"]},
    "an overlay that includes": {"methods": [{"name": "x", "overlay": {"base": "/etc/passwd"}}]},
    "no rows": {"methods": [{"name": "x", "overlay": "text"}]},
    "a config elsewhere": {"config": "/etc/passwd"},
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_a_hostile_comparison_is_refused(folder: Path, capsys: Capture, case: str) -> None:
    values = {"config": "tiny.yaml", "seeds": 1, "tune": 0, "methods": ["UPGrad"], **COMPARISONS[case]}
    (folder / "grid.yaml").write_text(yaml.safe_dump(values))
    refused(["compare", "--config", "grid.yaml"], folder, capsys)


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed_everything", "3"],
        ["--data.seed", "3"],
        ["--name", "foo"],
        ["--experiment", "foo"],
        ["--ckpt_path", "x.ckpt"],
        ["--resume", "x"],
    ],
)
def test_flags_that_a_comparison_sets_itself_are_refused(folder: Path, capsys: Capture, flags: list[str]) -> None:
    (folder / "grid.yaml").write_text("config: tiny.yaml\nseeds: 2\ntune: 0\nmethods: [UPGrad]\n")
    refused(["compare", "--config", "grid.yaml", *flags], folder, capsys)


SWEEPS: dict[str, dict[str, Any]] = {
    "a value that allows code": {"parameters": {"allow": {"value": "os"}}},
    "a checkpoint as value": {"parameters": {"ckpt_path": {"value": "evil.ckpt"}}},
    "a command that allows code": {"command": ["-m", "mtl", "fit", "--config=tiny.yaml", "--allow=os", "${args}"]},
    "a command that loads": {"command": ["-m", "mtl", "fit", "--ckpt_path=evil.ckpt", "${args}"]},
    "an experiment elsewhere": {"parameters": {"experiment": {"value": "../escape"}}},
    "runs elsewhere": {"parameters": {"runs_root": {"values": ["../escape"]}}},
    "trials without end": {"run_cap": 10**9},
    "a grid without end": {"method": "grid", "parameters": {f"a.b{n}": {"values": [0] * 10} for n in range(40)}},
    "control codes in a command": {"command": ["-m", "mtl", "fit", "--name=\x1b]0;x\a", "${args}"]},
    "a metric that is markup": {"metric": {"name": "val/[/nope]", "goal": "maximize"}},
    "a metric that is a list": {"metric": [1]},
    "values that are a text": {"parameters": {"data.seed": {"values": "abc"}}},
}


@pytest.mark.parametrize("case", SWEEPS)
def test_a_hostile_sweep_is_refused(folder: Path, capsys: Capture, case: str) -> None:
    values = {
        "command": ["-m", "mtl", "fit", "--config=tiny.yaml", "${args}"],
        "method": "random",
        "metric": {"name": "val/score", "goal": "maximize"},
        "parameters": {"data.seed": {"values": [0, 1]}},
        "run_cap": 1,
        **SWEEPS[case],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(values))
    refused(["sweep", "--config", "sweep.yaml"], folder, capsys)


def test_a_home_and_variables_are_expanded_in_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("SET", "mine")
    quick = ["--trainer.max_steps", "1", "--test_after_fit", "false"]
    assert main(["fit", "--config", "tiny.yaml", "--runs_root", "~/runs", "--name", "one", *quick]) == 0
    assert (folder / "home" / "runs" / "tiny" / "one" / "config.yaml").is_file()
    assert main(["fit", "--config", "tiny.yaml", "--runs_root=$HOME/$SET", "--name", "two", *quick]) == 0
    assert (folder / "home" / "mine" / "tiny" / "two" / "config.yaml").is_file()
    assert main(["fit", "--config", "tiny.yaml", "--checkpoint.dirpath", "${SET}/kept", "--name", "three", *quick]) == 0
    assert (folder / "mine" / "kept" / "last.ckpt").is_file()
    assert not (folder / "~").exists()


def test_a_variable_that_is_not_set_is_named(folder: Path, capsys: Capture) -> None:
    said = refused(["fit", "--config", "tiny.yaml", "--runs_root", "$NOWHERE/x"], folder, capsys)
    assert "'NOWHERE' that is not set" in said
