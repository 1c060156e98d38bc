"""Configs whose texts, numbers and shapes are not what they seem: every one is refused, and nothing is done.

Texts hide a config that only the parser would read; merges and appended lists hide where a value was written; numbers
and anchors ask for far more memory and time than they take to write. To add a try, add a line.
"""

from pathlib import Path

import pytest

from mtl.cli.main import main
from mtl.config.parsing import new_parser
from tests.unit.config.test_hostile_configs import CALLBACK, HEAD, LOGGER, TRAINER, Capture, overlay, refused

BOMB = "{a: &a [1,1,1,1,1,1,1,1,1], " + ", ".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB += "}"
RAY = "{class_path: mtl.experiments.ray_launcher.RayLauncher, init_args: {address: local}}"
ESCAPE = "{class_path: SimpleProfiler, init_args: {filename: ../../../escape}}"
NESTED = "{class_path: MGDA}"
for _ in range(6):
    NESTED = f"{{class_path: TransformedWeighting, init_args: {{method: {NESTED}}}}}"

PLACES = {
    "a class that is called": CALLBACK + f"{{class_path: ModelPruning, init_args: {{pruning_fn: {RAY}}}}}\n",
    "a class at a hook": TRAINER + f"strategy: {{class_path: DDPStrategy, init_args: {{ddp_comm_hook: {RAY}}}}}\n",
    "a class at a state": TRAINER + f"strategy: {{class_path: DDPStrategy, init_args: {{ddp_comm_state: {RAY}}}}}\n",
    "a checkpoint reader of a strategy": TRAINER
    + "strategy: {class_path: DDPStrategy, init_args: {checkpoint_io: {class_path: TorchCheckpointIO}}}\n",
    "dict_kwargs of a strategy": TRAINER
    + "strategy: {class_path: DDPStrategy, dict_kwargs: {process_group: {class_path: os.system}}}\n",
    "dict_kwargs of a profiler": TRAINER
    + "profiler: {class_path: PyTorchProfiler, dict_kwargs: {on_trace_ready: os.system}}\n",
    "an argument that no signature shows": LOGGER
    + "{class_path: TensorBoardLogger, init_args: {save_dir: x, log_dir: ../../escape}}\n",
    "a short name that may not be named": TRAINER + "callbacks: [ModelCheckpoint]\n",
    "a class of another family": HEAD + "{class_path: mtl.data.shards.module.ShardedData, init_args: {root: x}}\n",
    "a base class": "data: {class_path: lightning.pytorch.LightningDataModule}\n",
    "a private function": "model: {architecture: mtl.config.import_policy._user_modules.add}\n",
    "full-width letters": "model: {backbone: 'os\uff0esystem'}\n",
    "what the code gives": HEAD + "{init_args: {task: {class_path: os.system}}}\n",
    "what is linked": "model: {inputs: {image: {kind: os}}}\n",
    "what allows code": "allow: os\n",
    "options of a compiler": "model: {compile: {options: {cpp.cxx: touch hacked}}}\n",
    "a merged name": "checkpoint: {<<: {filename: ../../../escape}}\n",
    "a merged class": TRAINER + "profiler: {class_path: SimpleProfiler, <<: {init_args: {filename: ../escape}}}\n",
    "an appended class": TRAINER
    + "logger: {class_path: CSVLogger, init_args: {save_dir: x, version: ../escape}}\n  logger+: CSVLogger\n",
    "a number that is a letter": "checkpoint: {filename: '{step:c}tmp{step:c}escape'}\n",
    "a number of endless width": "checkpoint: {filename: '{step:9999999999d}'}\n",
    "the name of a logger": LOGGER + "{class_path: CSVLogger, init_args: {save_dir: logs, name: ../../escape}}\n",
    "the suffix of a logger": LOGGER
    + "{class_path: TensorBoardLogger, init_args: {save_dir: logs, filename_suffix: /../../escape}}\n",
    "a log at an address": LOGGER + "{class_path: CSVLogger, init_args: {save_dir: 'ftp://127.0.0.1:1/x'}}\n",
    "checkpoints at an address": "checkpoint: {dirpath: 'ftp://127.0.0.1:1/x'}\n",
    "runs at an address": "runs_root: 'memory://x'\n",
    "runs behind a cache": "runs_root: 'simplecache::x'\n",
    "curves elsewhere": CALLBACK + "{class_path: Curves, init_args: {path: ../curves}}\n",
    "results elsewhere": CALLBACK + "{class_path: Results, init_args: {run_dir: ../elsewhere}}\n",
    "numbers elsewhere": CALLBACK + "{class_path: BalancingTelemetry, init_args: {path: ../numbers.csv}}\n",
    "findings elsewhere": "data: {class_path: VOCFolder, init_args: {root: x, report_csv: ../findings.csv}}\n",
    "the folder of the trainer": TRAINER + "default_root_dir: elsewhere\n",
    "classes within classes": CALLBACK + f"{{class_path: LossBalancing, init_args: {{method: {NESTED}}}}}\n",
}

TEXTS = {
    "a spec": TRAINER + f"profiler: '{ESCAPE}'\n",
    "a spec after a space": TRAINER + f"profiler: ' {ESCAPE}'\n",
    "a spec in a document": TRAINER + f"profiler: '--- {ESCAPE}'\n",
    "a spec after a mark of the file": TRAINER + f'profiler: "\\ufeff{ESCAPE}"\n',
    "a spec of two lines": TRAINER + "profiler: |\n    class_path: SimpleProfiler\n    init_args: {filename: ../x}\n",
    "a spec of JSON": TRAINER + 'profiler: \'{"class_path": "SimpleProfiler"}\'\n',
    "a spec in a list": TRAINER + "callbacks: ['{class_path: ModelCheckpoint}']\n",
    "a list": TRAINER + "callbacks: '[{class_path: ModelCheckpoint}]'\n",
    "a section": f"checkpoint: '{ESCAPE}'\n",
    "a trainer": "trainer: '{max_steps: 1}'\n",
    "anchors of a class": TRAINER + f"profiler: '{BOMB}'\n",
    "anchors of a dict": f"model: {{optim: {{lr_factors: '{BOMB}'}}}}\n",
    "anchors over a dict": f"model: {{loss_weights: '{BOMB}'}}\n",
    "anchors of a list": TRAINER + f"callbacks: '{BOMB}'\n",
    "anchors of a name": f"tracking: {{project: '{BOMB}'}}\n",
    "brackets": TRAINER + f"profiler: '{'[' * 90_000}'\n",
    "digits and a letter": f"name: {'1' * 40_000}x\n",
    "minutes": f"seed_everything: 1{':00' * 100_000}\n",
    "hexadecimal digits": f"seed_everything: 0x{'f' * 5000}\n",
    "hexadecimal steps": TRAINER + f"max_steps: 0x{'f' * 5000}\n",
    "more than 64 bits": TRAINER + "max_steps: 99999999999999999999999\n",
    "very many numbers": f"model: [{'1,' * 490_000}]\n",
    "a zero byte in a path": 'runs_root: "a\\0b"\n',
    "half a letter in a path": 'checkpoint: {dirpath: "\\ud800"}\n',
    "a path without end": f"runs_root: {'a' * 5000}\n",
    "a class beside its settings": LOGGER + "{class_path: CSVLogger, save_dir: x, version: ../escape}\n",
}

SHAPES = {
    "an empty number": "seed_everything: !!int ''\n",
    "no truth": "test_after_fit: !!bool maybe\n",
    "no time": "name: !!timestamp x\n",
    "a set": "trainer: !!set {a, b}\n",
    "pairs": "trainer: !!omap [a: 1]\n",
    "bytes": "model: {backbone: {class_path: !!binary b3Muc3lzdGVt}}\n",
    "a list for a section": "trainer: [1]\n",
    "a number for a section": "5: x\n",
    "nothing for a section": "null: x\n",
    "a list for a key": "model: {? [a] : b}\n",
    "a number for a class": "model: {backbone: {class_path: 5}}\n",
    "dots for a class": "model: {backbone: {class_path: mtl..heads}}\n",
    "text for arguments": "model: {backbone: {class_path: ResidualFPN, init_args: abc}}\n",
    "a path of the parser": "data: {__path__: /etc}\n",
    "a base without end": f"base: {'a' * 5000}\n",
    "a base that is no text": "base: {a: b}\n",
    "an appended number": TRAINER + "callbacks+: 5\n",
    "an appended section": "model+: {a: b}\n",
    "control codes in a key": '"\\e]0;x\\a": 1\n',
    "control codes in a head": 'model: {heads: {"\\e]0;x\\a": {init_args: {x: 1}}}}\n',
    "control codes in a value": 'trainer: {max_steps: "\\e]0;x\\a"}\n',
    "markup": "trainer: {'[bold]x[/nope]': 1}\n",
}


@pytest.mark.parametrize("case", PLACES)
def test_a_value_at_the_wrong_place_is_refused(folder: Path, capsys: Capture, case: str) -> None:
    assert refused(overlay(folder, PLACES[case]), folder, capsys)


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_or_a_number_that_stands_for_more_is_refused(folder: Path, capsys: Capture, case: str) -> None:
    assert len(refused(overlay(folder, TEXTS[case]), folder, capsys)) < 2000


@pytest.mark.parametrize("case", SHAPES)
def test_a_strange_shape_is_told_in_a_few_printable_lines(folder: Path, capsys: Capture, case: str) -> None:
    said = refused(overlay(folder, SHAPES[case]), folder, capsys)
    assert all(line.isprintable() for line in said.splitlines())


def test_a_text_that_looks_like_a_config_stays_a_text(folder: Path, capsys: Capture) -> None:
    words = overlay(folder, f"model: {{backbone: {{class_path: TimmBackbone, init_args: {{name: '{BOMB}'}}}}}}\n")
    assert main(words) == 2
    assert f"timm has no network '{BOMB[:50]}" in capsys.readouterr().err
    parser = new_parser()
    parser.add_argument("--text", type=str)
    assert parser.parse_object({"text": BOMB}).text == BOMB


def test_bases_that_name_each_other_many_times_are_counted(folder: Path, capsys: Capture) -> None:
    for level in range(9):
        (folder / f"b{level}.yaml").write_text(f"base: [{', '.join([f'b{level + 1}.yaml'] * 10)}]\n")
    (folder / "b9.yaml").write_text("name: x\n")
    assert "files" in refused(["fit", "--config", "tiny.yaml", "--config", "b0.yaml"], folder, capsys)


def test_a_variable_is_never_put_into_what_is_tracked_or_told(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    assert "hunter2" not in refused(overlay(folder, "data: {init_args: {num_train: $SECRET}}\n"), folder, capsys)
    words = overlay(folder, "tracking: {project: $SECRET, tags: [$SECRET]}\n")
    with pytest.raises(SystemExit):
        main([*words, "--print_config"])
    assert "hunter2" not in capsys.readouterr().out
