"""What a trial graded as vague, misleading or a traceback: now each says what, where and what to do."""

from pathlib import Path

import pytest

from mtl.cli.main import main

Capture = pytest.CaptureFixture[str]
VOC = "data:\n  class_path: VOCFolder\n  init_args:\n    root: .\n"
ONE_HEAD = "model: {heads: {largest: null}, loss_weights: {largest: null}}\n"
CALLBACK = "trainer:\n  callbacks+:\n    - class_path: "

# what was written, words of the message, and the place it names; in a file `mistake.yaml`, or as flags
IN_FILES = {
    "learning rate below 0": (
        "model:\n  optim:\n    optimizer:\n      init_args:\n        lr: -0.001\n",
        "Invalid learning rate: -0.001. Change that number.",
        "mistake.yaml:5: lr: -0.001",
    ),
    "learning rate NaN": (
        "model:\n  optim:\n    optimizer:\n      init_args: {lr: .nan}\n",
        "Invalid learning rate: nan",
        "mistake.yaml:4: init_args: {lr: .nan}",
    ),
    "learning rate a word": (
        "model:\n  optim:\n    optimizer:\n      init_args: {lr: fast}\n",
        "`model.optim.optimizer.lr` must be a number; found 'fast'.",
        "mistake.yaml:4: ",
    ),
    "dropout above 1": (
        "model:\n  heads:\n    largest:\n      init_args:\n        dropout: 1.5\n",
        "dropout probability has to be between 0 and 1, but got 1.5",
        "mistake.yaml:5: dropout: 1.5",
    ),
    "eval_batch_size": (
        "data:\n  init_args:\n    eval_batch_size: -3\n",
        "eval_batch_size=-3 must be at least 1.",
        "mistake.yaml:3: eval_batch_size: -3",
    ),
    "a number without a value": (
        "data:\n  init_args:\n    num_workers:\n",
        "`data.num_workers` must be a whole number; found null, or nothing. Leave the line out for the default.",
        "mistake.yaml:3: num_workers:",
    ),
    "a second EMA": (
        CALLBACK + "EMA\n      init_args: {decay: 0.9}\n    - class_path: EMA\n      init_args:\n        decay: 2\n",
        "EMA decay=2.0 must lie within 0..1",
        "mistake.yaml:7: decay: 2",
    ),
    "a level of an overlay": (
        "model:\n  heads:\n    largest:\n      init_args:\n        levels: [p9]\n",
        "head 'largest' asks for level 'p9'; the backbone gives c4, p2.",
        "mistake.yaml:5: levels: [p9]",
    ),
    "a head without a task": (
        "model:\n  heads:\n    scene: {class_path: ClassificationHead}\n",
        "or set up the data so that it has this task",
        "mistake.yaml:3: scene:",
    ),
    "a head called 1": (
        "model:\n  heads:\n    1: {class_path: ClassificationHead}\n",
        "head '1' has no entry in data.tasks; there are boxes, largest.",
        "mistake.yaml:3: 1:",
    ),
    "a head called null": (
        "model:\n  heads:\n    null: {class_path: ClassificationHead}\n",
        "head 'null' has no entry",
        "mistake.yaml:3: null:",
    ),
    "no heads": (
        "model:\n  heads: {boxes: null, largest: null}\n",
        "a model needs at least one head; give model.heads one entry for each task to learn.",
        "",
    ),
    "no backbone": (
        "model:\n  backbone: null\n",
        "the config needs `model.backbone`, and it is not given. Known: ",
        "mistake.yaml:2: backbone: null",
    ),
    "image size 0": (
        "data:\n  init_args:\n    image_size: 0\n",
        "must be within 8..image_size=0",
        "mistake.yaml:3: image_size: 0",
    ),
    "loss weight NaN": (
        "model:\n  loss_weights:\n    boxes: .nan\n",
        "model.loss_weights.boxes is nan; it must be 0 or more.",
        "mistake.yaml:3: boxes: .nan",
    ),
    "loss weight below 0": (
        "model:\n  loss_weights:\n    boxes: -1\n",
        "model.loss_weights.boxes is -1.0; it must be 0 or more.",
        "mistake.yaml:3: boxes: -1",
    ),
    "a monitor that nothing logs": (
        CALLBACK + "EarlyStopping\n      init_args:\n        monitor: val_loss\n",
        "EarlyStopping monitors 'val_loss', which nothing logs. Did you mean 'val/loss/boxes'? There are val/score,",
        "mistake.yaml:5: monitor: val_loss",
    ),
    "the worse for the better": (
        CALLBACK + "EarlyStopping\n      init_args:\n        monitor: val/score\n",
        "with mode 'min', and 'val/score' is better when it is high: it would keep the worst. Set mode to 'max'.",
        "mistake.yaml:5: monitor: val/score",
    ),
    "a class name that YAML reads as a number": (
        VOC + "    box_classes: [0, 1]\n",
        "`data.box_classes.0` must be text; found 0. Put the word in quotes.",
        "mistake.yaml:5: box_classes: [0, 1]",
    ),
    "one side where two are needed": (
        VOC + "    box_classes: [cat]\n    image_size: 32\n" + ONE_HEAD,
        "`data.image_size` must be a list of 2 (a whole number each); found 32.",
        "mistake.yaml:6: image_size: 32",
    ),
    "a class twice": (
        VOC + "    box_classes: [cat, cat]\n",
        "task 'boxes' names a class twice: cat, cat.",
        "mistake.yaml:5: box_classes: [cat, cat]",
    ),
    "a name of a task with a blank": (
        VOC + "    box_classes: [cat]\n    image_tasks:\n      my task: {classes: [day, dusk]}\n" + ONE_HEAD,
        "task name 'my task' must be letters, digits and '_'",
        "mistake.yaml:7: my task:",
    ),
    "a picture without height": (
        VOC + "    box_classes: [cat]\n    image_size: [0, 64]\n" + ONE_HEAD,
        "image_size=[0, 64] must be the height and width of the network's input in pixels, each at least 1",
        "mistake.yaml:6: image_size: [0, 64]",
    ),
    "a precision of a plugin": (
        "trainer:\n  plugins: HalfPrecision\n",
        "it rounds true boxes to 16 bits (501.3 to 502). Set trainer.precision to bf16-mixed or 16-mixed",
        "mistake.yaml:2: plugins: HalfPrecision",
    ),
}
FLAGS = {
    "--model.optim.optimizer.init_args.lr -1": "Invalid learning rate: -1.0. Change that number.",
    "--model.optim.optimizer.init_args.betas [2,3]": "Invalid beta parameter at index 0: 2.0.",
    "--model.optim.optimizer.init_args.betas [0.9]": "`model.optim.optimizer.betas`: Expected a tuple with 2 elements.",
    "--model.backbone.init_args.width -4": "ResidualFPN cannot be built with these settings: Trying to create",
    "--model.backbone.init_args.width 0": "Set the widths of model.backbone to at least 1.",
    "--model.heads.largest.init_args.hidden -4": "ClassificationHead cannot be built with these settings:",
    "--data.num_train 0": "num_train=0 must be at least 1.",
    "--data.num_workers -1": "num_workers=-1 must be at least 0.",
    "--data.batch_size 0": "batch_size=0 must be at least 1.",
    "--checkpoint.mode maxx": "`checkpoint.mode` must be one of 'max', 'min'; found 'maxx'. Did you mean 'max'?",
    "--checkpoint.monitor val/map": "checkpoint monitors 'val/map', which nothing logs. Did you mean 'val/boxes/map'?",
    "--checkpoint.monitor val/loss/boxes": "it would keep the worst. Set mode to 'min'.",
    "--trainer.devices 0": "it must be a number of processes from 1, a list of devices, or auto.",
    "--trainer.max_steps 0": "trainer.max_steps is 0: nothing would be trained.",
    "--trainer.max_time 00:00:00:00": "trainer.max_time is 00:00:00:00: nothing would be trained.",
    "--trainer.max_time 10": "is not a valid duration. Expected a string in the format DD:HH:MM:SS.",
    "--trainer.limit_train_batches 0": "nothing would be trained. To measure a trained model: `python -m mtl test",
    "--trainer.limit_val_batches 1.5": "invalid value 1.5 for limit_val_batches, it has to be in [0.0, 1.0] or an int.",
    "--trainer.overfit_batches -1": "it must be 0 for off, a number of batches, or a share below 1.",
    "--trainer.check_val_every_n_epoch 0": "it must be at least 1, or null to count batches over epochs.",
    "--trainer.val_check_interval 0": "it must be above 0: a number of batches, or a share of an epoch such as 0.25",
    "--trainer.accumulate_grad_batches 0": "it must be at least 1, which accumulates nothing.",
    "--trainer.gradient_clip_val -1": "Lightning would not clip at all. Give a norm above 0, or null for no clipping.",
    "--trainer.log_every_n_steps 0": "it must be at least 1. For no logs: trainer.logger false.",
    "--trainer.precision 16-true": "Set it to bf16-mixed or 16-mixed, which keep boxes and weights in 32 bits.",
    "--model.optim.optimizer LBFGS": "optim.optimizer takes all parameters as one group",
    "--name #1": "'#1' is a comment to YAML, and nothing would be set.",
    "--allow my-mod": "'my-mod' is not the dotted name of a module",
}
# whole command lines, without a place to name
LINES = {
    "fit --config tiny.yaml --ckpt_path text.ckpt": "Give a file of a run, such as runs/EXPERIMENT/NAME/checkpoints/",
    "fit --config tiny.yaml --ckpt_path sub": "checkpoint 'sub' is a folder. Give a file, such as",
    "fit --config tiny.yaml --ckpt_path tex.ckpt": "there is no checkpoint 'tex.ckpt'. Did you mean 'text.ckpt'?",
    "test --run sub": "'sub' is no run folder: it has neither config.yaml nor checkpoints. `python -m mtl runs` lists",
    "test --run runs/none": "there is no run folder 'runs/none'. `python -m mtl runs` lists yours.",
    "fit --config sub": "config 'sub' is a folder; give a file. It holds a.yaml.",
    "fit --config empty.yaml": "config file 'empty.yaml' is empty; `python -m mtl list configs` names some",
    "fit --config list.yaml": "config file 'list.yaml' must hold `key: value` lines, found a list.",
    "fit --config=": "--config needs a value, and it is empty",
    "fit --config": "--config needs a value: `--config VALUE` or `--config=VALUE`.",
}


def said(words: list[str], capsys: Capture) -> list[str]:
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 5
    assert "Traceback" not in "".join(lines)
    assert "--traceback" not in "".join(lines)
    return lines


@pytest.mark.parametrize("mistake", IN_FILES)
def test_a_mistake_in_a_file_is_told_with_line_and_way_out(folder: Path, capsys: Capture, mistake: str) -> None:
    text, words, place = IN_FILES[mistake]
    (folder / "mistake.yaml").write_text(text)
    lines = said(["fit", "--config", "tiny.yaml", "--config", "mistake.yaml"], capsys)
    assert words in " ".join(lines)
    assert lines[-1].startswith(f"  {place}")


@pytest.mark.parametrize("flags", FLAGS)
def test_a_mistake_in_a_flag_is_told_with_the_flag(folder: Path, capsys: Capture, flags: str) -> None:
    lines = said(["fit", "--config", "tiny.yaml", *flags.split()], capsys)
    assert FLAGS[flags] in " ".join(lines)
    assert lines[-1] == f"  command line: {flags}"


def test_a_gpu_that_is_not_there(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    lines = said(["fit", "--config", "tiny.yaml", "--trainer.accelerator", "gpu"], capsys)
    assert "torch finds no GPU here. Set it to cpu or auto" in lines[0]
    assert lines[-1] == "  command line: --trainer.accelerator gpu"


@pytest.mark.parametrize("line", LINES)
def test_a_file_that_is_none_is_told_with_what_there_is(folder: Path, capsys: Capture, line: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.yaml").write_text("trainer: {max_steps: 1}\n")
    (folder / "text.ckpt").write_text("hello")
    (folder / "empty.yaml").write_text("")
    (folder / "list.yaml").write_text("- a\n")
    assert LINES[line] in " ".join(said(line.split(), capsys))


@pytest.mark.parametrize("key", ["name", "experiment", "runs_root", "trainer.max_steps", "model.optim.optimizer"])
def test_an_empty_value_is_refused_and_is_not_null(folder: Path, capsys: Capture, key: str) -> None:
    lines = said(["fit", "--config", "tiny.yaml", f"--{key}", ""], capsys)
    assert lines[-1] == f"  command line: --{key} "
    assert not (folder / "runs").exists()


def test_an_error_in_a_file_of_the_data_never_names_a_line_of_the_model(folder: Path, capsys: Capture) -> None:
    images = '{"images": [{"id": 0, "width": 32, "height": 24}], "annotations": [], "categories": []}'
    (folder / "annotations.json").write_text(images)
    (folder / "images").mkdir()
    (folder / "mistake.yaml").write_text(VOC.replace("VOCFolder", "COCOFolder") + "    box_classes: [cat]\n" + ONE_HEAD)
    lines = said(["fit", "--config", "tiny.yaml", "--config", "mistake.yaml"], capsys)
    assert "images[0] is {'id': 0, 'width': 32, 'height': 24} and needs an `id`" in " ".join(lines)
    assert lines[-1].startswith("  mistake.yaml:")
