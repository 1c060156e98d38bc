"""Every setting of Lightning's trainer through the command line: right, or refused by name before the run begins."""

import json
from pathlib import Path

import pytest

from mtl.cli.main import main

Capture = pytest.CaptureFixture[str]
MICRO = """\
data:
  class_path: DigitScenes
  init_args: {num_train: 16, num_val: 4, num_test: 8, batch_size: 4, eval_batch_size: 2, image_size: 32}
model:
  backbone: {class_path: ResidualFPN, init_args: {width: 4, pyramid_width: 8}}
  heads:
    largest: {class_path: ClassificationHead, init_args: {hidden: 8}}
trainer: {max_steps: 8, accelerator: cpu, enable_progress_bar: false, enable_model_summary: false}
tracking: {wandb: off}
"""
# of flags, words of the message; all are found before a run folder is made
REFUSED = {
    "limit_test_batches 0": "trainer.limit_test_batches is 0: the test would measure nothing. Leave it out, or switch",
    "limit_test_batches -1": "trainer.limit_test_batches is -1: it must be a number of batches, or a share",
    "num_sanity_val_steps -7": "it must be a number of batches, 0 for none, or -1 for all.",
    "min_steps -3": "trainer.min_steps is -3: it must be at least 0.",
    "min_epochs -3": "trainer.min_epochs is -3: it must be at least 0.",
    "min_steps 20": "trainer.min_steps is 20: the run ends at trainer.max_steps 8. Lower one or raise the other.",
    "min_epochs 3 max_epochs 1": "trainer.min_epochs is 3: the run ends at trainer.max_epochs 1.",
    "val_check_interval 00:00:00:01": "a number of batches, or a share of an epoch such as 0.25; not a time.",
    "val_check_interval {seconds:_1}": "not a time.",
    "max_time {seconds:_0}": "nothing would be trained.",
    "gradient_clip_algorithm value": "without trainer.gradient_clip_val nothing is clipped. Give both.",
    "gradient_clip_val .nan": "must be a whole number or a number; found '.nan'.",
    "gradient_clip_val 1e999": "trainer.gradient_clip_val is inf: Lightning would not clip at all.",
    "barebones true": "it logs, saves and measures nothing. For its speed alone: --test_after_fit false.",
    "num_nodes 0": "trainer.num_nodes is 0: it must be a number of machines from 1.",
    "model_registry me/mine": "a run keeps its checkpoints in its folder and sends them nowhere.",
    "default_root_dir elsewhere": "is set by the run itself, which writes into its own folder: leave it out",
}


def flags(text: str) -> list[str]:
    return [f"--trainer.{w}" if index % 2 == 0 else w.replace(":_", ": ") for index, w in enumerate(text.split())]


@pytest.fixture
def micro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "micro.yaml").write_text(MICRO)
    return tmp_path


@pytest.mark.parametrize("text", REFUSED)
def test_a_setting_without_a_meaning_is_refused_by_name(micro: Path, capsys: Capture, text: str) -> None:
    assert main(["fit", "--config", "micro.yaml", *flags(text)]) == 2
    said = capsys.readouterr().err
    assert REFUSED[text] in " ".join(said.split())
    assert "command line: --trainer." in said
    assert not (micro / "runs").exists()


# found when the data is there, and before the first step
LATER = {
    "max_time {seconds:_1} max_steps -1": "or the run has no limit but max_time. The learning rate needs it",
    "overfit_batches 0.3": "trainer.overfit_batches is 0.3, and that is less than one of the 2 val batches.",
    "limit_test_batches 0.1": "trainer.limit_test_batches is 0.1, and that is less than one of the 4 test batches.",
    "limit_val_batches 0.1 check_val_every_n_epoch 2": "less than one of the 2 val batches. Give at least 0.5,",
    "limit_train_batches 0.1": "0.1 * 4 < 1",
    "val_check_interval 100": "must be less than or equal to the number of the training batches",
}


@pytest.mark.parametrize("text", LATER)
def test_a_share_of_less_than_a_batch_is_refused_before_training(micro: Path, capsys: Capture, text: str) -> None:
    assert main(["fit", "--config", "micro.yaml", "--name", "a", *flags(text)]) == 2
    said = capsys.readouterr().err
    assert LATER[text] in " ".join(said.split())
    assert "traceback" not in said.lower()
    assert not (micro / "runs/micro/a/checkpoints").exists()


@pytest.mark.parametrize(
    ("command", "name"), [("test", "limit_test_batches"), ("validate", "limit_val_batches"), ("test", "barebones")]
)
def test_a_measurement_of_nothing_is_refused(micro: Path, capsys: Capture, command: str, name: str) -> None:
    value = "true" if name == "barebones" else "0"
    assert main([command, "--config", "micro.yaml", "--untrained", f"--trainer.{name}", value]) == 2
    assert "nothing" in capsys.readouterr().err


# settings, and the steps that the run then makes; None where the clock decides
RIGHT: dict[str, int | None] = {
    "accumulate_grad_batches 3 max_epochs 2": 4,
    "accumulate_grad_batches 100 max_epochs 2": 2,
    "limit_train_batches 0.5 max_epochs 2": 4,
}
AT_NIGHT: dict[str, int | None] = {
    "limit_train_batches 1000": 8,
    "limit_train_batches 1": 8,
    "limit_val_batches 0": 8,
    "limit_val_batches 1000": 8,
    "limit_test_batches 1000": 8,
    "limit_predict_batches 0": 8,
    "overfit_batches 1": 8,
    "overfit_batches 0.5": 8,
    "overfit_batches 1000": 8,
    "max_time 00:00:10:00": 8,
    "max_time 00:00:00:01 max_steps 3000": None,
    "max_steps -1 max_epochs 1": 4,
    "max_steps -1 max_epochs 1 min_steps 3": 4,
    "min_epochs 1": 8,
    "val_check_interval 0.3": 8,
    "val_check_interval 3": 8,
    "val_check_interval 3 check_val_every_n_epoch null": 8,
    "val_check_interval 100 check_val_every_n_epoch null": 8,
    "check_val_every_n_epoch 2": 8,
    "check_val_every_n_epoch 50": 8,
    "num_sanity_val_steps -1": 8,
    "num_sanity_val_steps 100": 8,
    "gradient_clip_val 1 gradient_clip_algorithm value": 8,
    "gradient_clip_val 1 gradient_clip_algorithm norm": 8,
    "deterministic true": 8,
    "deterministic warn": 8,
    "benchmark true": 8,
    "inference_mode false": 8,
    "use_distributed_sampler false": 8,
    "detect_anomaly true": 8,
    "reload_dataloaders_every_n_epochs 1": 8,
    "profiler simple": 8,
    "profiler advanced": 8,
    "log_every_n_steps 1": 8,
    "log_every_n_steps 100": 8,
    "log_every_n_steps null": 8,
    "enable_checkpointing false": 8,
    "enable_progress_bar true enable_model_summary true": 8,
    "logger false": 8,
    "logger []": 8,
    "callbacks null": 8,
    "precision 64-true": 8,
    "precision 32": 8,
    "precision bf16-mixed": 8,
    "strategy auto": 8,
    "devices auto": 8,
}


def ends_with_results(micro: Path, text: str, steps: int | None) -> None:
    assert main(["fit", "--config", "micro.yaml", "--name", "a", *flags(text)]) == 0
    found = json.loads((micro / "runs/micro/a/results.json").read_text())
    assert "test/score" in found
    assert found["meta"]["steps"] == steps or (steps is None and found["meta"]["steps"] > 0)


@pytest.mark.parametrize("text", RIGHT)
def test_a_run_makes_its_steps_and_leaves_results(micro: Path, text: str) -> None:
    ends_with_results(micro, text, RIGHT[text])


@pytest.mark.nightly
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("text", AT_NIGHT)
def test_a_run_of_any_setting_leaves_results(micro: Path, text: str) -> None:
    ends_with_results(micro, text, AT_NIGHT[text])
