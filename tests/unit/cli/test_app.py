"""Whole runs of a tiny model: run folder, replay, checkpoints that rebuild themselves, refusals."""

import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelSummary, ProgressBar

import mtl
from mtl.cli.main import main
from mtl.cli.trainer.app import Run
from mtl.config.command_line import read_command_line
from mtl.config.yaml_lines import RunError
from mtl.data.mixed.module import MixedData
from mtl.evaluation.load import load_run
from mtl.module import MultiTaskLightningModule


@pytest.fixture
def beside(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The finished run, from the folder it was started in."""
    monkeypatch.chdir(trained.parents[2])
    before = set(trained.parent.iterdir()) | set(trained.iterdir())
    yield trained
    for path in (set(trained.parent.iterdir()) | set(trained.iterdir())) - before:
        shutil.rmtree(path)


def built(*arguments: str) -> Run:
    return Run(read_command_line("fit", arguments), ["fit", *arguments])


def test_a_run_leaves_its_record_and_nothing_elsewhere(trained: Path) -> None:
    assert sorted(path.name for path in trained.parents[2].iterdir()) == ["runs", "tiny.yaml"]
    names = {path.name for path in trained.iterdir()}
    assert {"config.yaml", "command.txt", "environment.json", "metrics.csv", "results.json", "checkpoints"} <= names
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (trained / "command.txt").read_text() == "python -m mtl fit --config tiny.yaml --name first\n"
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert (config["experiment"], config["name"], config["seed_everything"]) == ("tiny", "first", 0)
    assert "tasks" not in config["model"], "they come from the data, also when the config is replayed"


def test_the_best_checkpoint_is_tested_after_training(trained: Path) -> None:
    assert "test/score" in json.loads((trained / "results.json").read_text())


def last_losses(run: Path) -> list[str]:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [row[key] for row in rows for key in ("val/loss/boxes", "val/loss/largest") if row.get(key)]


def test_the_saved_config_repeats_the_run(beside: Path) -> None:
    assert main(["fit", "--config", str(beside / "config.yaml"), "--test_after_fit", "false"]) == 0
    again = beside.parent / "first-2"
    assert last_losses(again) == last_losses(beside)
    assert last_losses(again)
    first, second = ((run / "config.yaml").read_text() for run in (beside, again))
    assert second == first.replace("test_after_fit: true", "test_after_fit: false")
    assert not (again / "results.json").exists()


def test_a_checkpoint_rebuilds_its_model_from_plain_values(trained: Path) -> None:
    model = load_run(trained)
    stored = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    assert all(torch.equal(value, stored["state_dict"][name]) for name, value in model.state_dict().items())
    with pytest.raises(TypeError, match="load_run"):
        MultiTaskLightningModule.load_from_checkpoint(trained / "checkpoints" / "best.ckpt")
    optimizer, _ = model.optim.build(model.model, 10)
    assert (type(optimizer), optimizer.defaults["weight_decay"]) == (torch.optim.AdamW, 0.3)
    assert model.loss_weights == {"boxes": 1.0, "largest": 0.3}


def test_test_takes_config_and_best_weights_from_a_run(beside: Path) -> None:
    assert main(["test", "--run", "runs/tiny/first"]) == 0
    again = json.loads((beside / "test" / "results.json").read_text())
    first = json.loads((beside / "results.json").read_text())
    assert again["test/loss/boxes"] == pytest.approx(first["test/loss/boxes"])
    assert main(["test", "--run", "runs/tiny/first", "--ckpt_path", "last"]) == 0
    assert (beside / "test-2" / "results.json").is_file()


def test_validate_runs_on_a_checkpoint_and_its_config(beside: Path) -> None:
    checkpoint = str(beside / "checkpoints" / "best.ckpt")
    assert main(["validate", "--config", "tiny.yaml", "--ckpt_path", checkpoint, "--name", "checked"]) == 0
    assert "val/score" in (beside.parent / "checked" / "metrics.csv").read_text()


def test_training_continues_from_the_last_checkpoint_of_a_run(beside: Path) -> None:
    flags = ["--trainer.max_steps", "4", "--name", "longer", "--test_after_fit", "false"]
    assert main(["fit", "--run", "runs/tiny/first", *flags]) == 0
    last = torch.load(beside.parent / "longer" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 4
    assert (beside.parent / "longer" / "checkpoints" / "best.ckpt").is_file()
    assert last["loops"]["fit_loop"]["epoch_progress"]["total"]["ready"] == 2


@pytest.mark.parametrize("command", ["test", "validate"])
def test_random_weights_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--config", "tiny.yaml"]) == 2
    assert f"`{command}` needs a trained model. Give --run" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_random_weights_are_tested_when_asked_for(folder: Path) -> None:
    assert main(["test", "--config", "tiny.yaml", "--untrained", "--name", "random"]) == 0
    assert (folder / "runs" / "tiny" / "random" / "results.json").is_file()


def test_a_checkpoint_of_another_model_is_refused(beside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(beside / "checkpoints" / "best.ckpt")
    flags = ["--model.backbone.width", "6", "--name", "other"]
    assert main(["test", "--config", "tiny.yaml", "--ckpt_path", checkpoint, *flags]) == 2
    said = capsys.readouterr().err
    assert "was made by another model than this config describes: " in said
    assert "more. Use the config of its own run: --run RUN_FOLDER." in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ckpt_path", "https://a.b/c.ckpt"], "is an address; download it"),
        (["--ckpt_path", "nope.ckpt"], "there is no checkpoint 'nope.ckpt'"),
        (["--ckpt_path", "best"], "needs --run RUN_FOLDER"),
        (["--run", "runs/tiny/firs"], "there is no run folder 'runs/tiny/firs'. Did you mean 'first'?"),
        (["--run", "runs/tiny/first", "--ckpt_path", "x.ckpt"], "there is no checkpoint 'x.ckpt'"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_named(
    beside: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main(["test", "--config", "tiny.yaml", *flags]) in (1, 2)
    assert message in capsys.readouterr().err


def test_short_names_and_flags_reach_every_part(folder: Path) -> None:
    more = "trainer:\n  callbacks+:\n    - {class_path: EMA, init_args: {decay: 0.9}}\n"
    (folder / "more.yaml").write_text(more)
    cli = built(
        *("--config", "tiny.yaml", "--config", "more.yaml", "--model.heads.largest.dropout", "0.5"),
        *("--model.optim.optimizer.init_args.lr=0.25", "--experiment", "123", "--tracking.project=p"),
        *(
            "--trainer.callbacks+=EarlyStopping",
            "--trainer.callbacks.monitor=val/score",
            "--trainer.callbacks.mode=max",
        ),
    )
    assert [type(callback).__name__ for callback in cli.trainer.callbacks[:2]] == ["EMA", "EarlyStopping"]
    head = cli.model.model.head("largest")
    assert [module.p for module in head.modules() if isinstance(module, torch.nn.Dropout)] == [0.5]
    assert cli.model.optim.build(cli.model.model, 10)[0].defaults["lr"] == 0.25
    assert cli.config.experiment == "123"
    assert set(cli.model.tasks) == {"boxes", "largest"}


def test_null_takes_a_head_away(folder: Path) -> None:
    cli = built("--config", "tiny.yaml", "--model.heads.largest=null", "--model.loss_weights.largest=null")
    assert list(cli.model.tasks) == ["boxes"]


def test_switched_off_parts_are_left_out(folder: Path) -> None:
    names = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    cli = built("--config", "tiny.yaml", *(f"--trainer.{name}=false" for name in names))
    assert not [callback for callback in cli.trainer.callbacks if isinstance(callback, ProgressBar | ModelSummary)]
    assert cli.trainer.checkpoint_callback is None


def test_a_bare_trainer_gets_nothing_of_ours(folder: Path) -> None:
    cli = built("--config", "tiny.yaml", "--trainer.barebones=true", "--test_after_fit=false")
    assert cli.trainer.loggers == []
    assert cli.trainer.checkpoint_callback is None


def test_a_bar_of_the_user_replaces_ours(folder: Path) -> None:
    cli = built("--config", "tiny.yaml", "--trainer.callbacks+=TQDMProgressBar")
    bars = [type(callback).__name__ for callback in cli.trainer.callbacks if isinstance(callback, ProgressBar)]
    assert bars == ["TQDMProgressBar"]


def test_a_seed_is_drawn_and_recorded_when_asked_for(folder: Path) -> None:
    cli = built("--config", "tiny.yaml", "--seed_everything=true")
    assert yaml.safe_load((cli.run_dir / "config.yaml").read_text())["seed_everything"] == cli.config.seed_everything
    assert type(cli.config.seed_everything) is int


def test_the_parts_that_a_config_builds_can_be_pickled(folder: Path) -> None:
    cli = built("--config", "tiny.yaml")
    optim = pickle.loads(pickle.dumps(cli.model.optim))
    assert optim.build(cli.model.model, 10)[0].defaults["lr"] == 1e-3


def test_print_config_shows_everything_and_starts_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--config", "tiny.yaml", "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["heads"]["boxes"]["class_path"] == "mtl.heads.detection.centernet.CenterNetHead"
    assert os.listdir(folder) == ["tiny.yaml"]


def test_print_config_of_a_test_needs_no_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["test", "--config", "tiny.yaml", "--print_config"])
    assert "class_path" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.ddp
def test_all_processes_of_a_run_share_one_folder(folder: Path) -> None:
    words = ["fit", "--config", "tiny.yaml", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-m", "mtl", *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs" / "tiny").iterdir()
    assert {"results.json", "config.yaml", "metrics.csv"} <= {path.name for path in run.iterdir()}
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_true_draws_another_seed_each_time_and_writes_it_down(folder: Path) -> None:
    quick = ["--trainer.max_steps", "1", "--test_after_fit", "false"]
    seeds = []
    for name in ("one", "two"):
        assert main(["fit", "--config", "tiny.yaml", "--seed_everything", "true", "--name", name, *quick]) == 0
        seeds.append(yaml.safe_load((folder / "runs" / "tiny" / name / "config.yaml").read_text())["seed_everything"])
    assert all(type(seed) is int for seed in seeds)
    assert seeds[0] != seeds[1]


def test_processes_of_a_cluster_do_not_draw_a_seed_each(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert main(["fit", "--config", "tiny.yaml", "--seed_everything", "true"]) == 2
    assert "give a number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], 0),
        (["--seed_everything", "7"], 7),
        (["--seed_everything", "7", "--data.seed", "0"], 0),
        (["--seed_everything", "false"], 0),
    ],
)
def test_the_data_have_the_seed_of_the_run_unless_they_have_their_own(
    flags: list[str], expected: int, folder: Path
) -> None:
    cli = built("--config", "tiny.yaml", *flags)
    assert cli.data.seed == expected
    # written down, so that a resumed run and a test have the same data
    written = yaml.safe_load((cli.run_dir / "config.yaml").read_text())
    assert written["data"]["init_args"]["seed"] == expected


def test_parts_of_a_mix_have_it_too_unless_they_have_their_own(folder: Path) -> None:
    (folder / "mix.yaml").write_text("""\
base: mixed.yaml
data: {init_args: {parts: {rooms: {init_args: {num_train: 8, num_val: 4, num_test: 4}},
  digits: {init_args: {num_train: 8, num_val: 4, num_test: 4, seed: 5}}}}}
""")
    data = built("--config", "mix.yaml", "--seed_everything", "7").data
    assert isinstance(data, MixedData)
    assert (data.seed, data.parts["rooms"].seed, data.parts["digits"].seed) == (7, 7, 5)


@pytest.mark.parametrize(
    "refused",
    [
        ("--trainer.precision", "16-mixed-typo"),
        ("--trainer.fast_dev_run", "-1"),
        ("--trainer.devices", "0"),
        # by a callback, when the run starts
        ("--trainer.callbacks+", "{class_path: FreezeParts, init_args: {parts: [nowhere]}}"),
    ],
)
def test_a_run_that_is_refused_leaves_no_folder(
    folder: Path, refused: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--config", "tiny.yaml", "--runs_root", "fresh/runs", "--name", "refused", *refused]) != 0
    assert capsys.readouterr().err
    assert not Path("fresh/runs").exists()


def test_a_failing_record_leaves_no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtl.cli.trainer.app.write_record", full)
    with pytest.raises(RunError, match="No space left"):
        built("--config", "tiny.yaml", "--runs_root", "fresh/runs")
    assert not Path("fresh/runs").exists()
