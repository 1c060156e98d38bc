"""Typical mistakes: what a user sees is at most five lines that say what is wrong, where, and what would be right."""

from pathlib import Path

import pytest

from mtl.cli.main import main

# mistake in an overlay of tiny.yaml, the words of the answer, and the line of the overlay
IN_FILES = {
    "folder name": ("name: a/b\n", "name='a/b' becomes the name of a folder", 1),
    "argument of a head": (
        "model:\n  heads:\n    largest:\n      init_args:\n        hiden: 5\n",
        "ClassificationHead (`model.heads.largest`) has no setting 'hiden'. Did you mean 'hidden'? Known: ",
        5,
    ),
    "empty argument of a head": (
        "model:\n  heads:\n    largest:\n      init_args:\n        num_classes:\n",
        "ClassificationHead (`model.heads.largest`) has no setting 'num_classes'.",
        5,
    ),
    "name of a head class": (
        "model:\n  heads:\n    boxes:\n      class_path: CenterNetHed\n",
        "there is no Head 'CenterNetHed'. Did you mean 'CenterNetHead'? Known: ",
        4,
    ),
    "class of another family": (
        "model:\n  backbone: CenterNetHead\n",
        "`model.backbone` needs a Backbone; CenterNetHead is a Head. Known: ",
        2,
    ),
    "class of no family": (
        "model:\n  backbone:\n    class_path: torch.nn.Linear\n",
        "refused to import 'torch.nn.Linear': a config may name classes of mtl, and the optimisers, callbacks",
        3,
    ),
    "top-level key": ("optimizer: 3\n", "there is no setting 'optimizer'.", 1),
    "empty top-level key": ("heads: {}\n", "there is no setting 'heads'. Did you mean 'model.heads'?", 1),
    "key of the trainer": ("trainer:\n  max_step: 3\n", "has no setting 'max_step'. Did you mean 'max_steps'?", 2),
    "empty key of the trainer": ("trainer:\n  max_step:\n", "has no setting 'max_step'. Did you mean 'max_steps'?", 2),
    "empty dict in a class": (
        "model:\n  optim:\n    schedul: {}\n",
        "Optim (`model.optim`) has no setting 'schedul'. Did you mean 'schedule'?",
        3,
    ),
    "empty init_args of a name": (
        "model:\n  heads:\n    count:\n      class_path: ClassificationHead\n      init_argz: {}\n",
        "'init_argz' stands beside `class_path` in `model.heads.count`; settings go into `init_args`.",
        5,
    ),
    "head without a class": (
        "model:\n  heads:\n    larges: {dropout: 0.5}\n",
        "`model.heads.larges` needs a `class_path` that says which Head it is. Did you mean 'largest'?",
        3,
    ),
    "heads as a list": ("model:\n  heads: [a]\n", "`model.heads` must be names with a Head each; found ['a'].", 2),
    "type": (
        "model:\n  heads:\n    largest:\n      init_args:\n        hidden: abc\n",
        "`model.heads.largest.hidden` must be a whole number; found 'abc'.",
        5,
    ),
    "word out of a list": (
        "model:\n  optim:\n    schedule: cosinus\n",
        "`model.optim.schedule` must be one of 'cosine', 'polynomial', 'constant', 'step'; found 'cosinus'. "
        "Did you mean 'cosine'?",
        3,
    ),
    "word in a list": (
        "data:\n  init_args:\n    image_tasks:\n      - larges\n",
        "must be one of 'largest', 'count', 'parity'; found 'larges'. Did you mean 'largest'?",
        4,
    ),
    "optimizer": (
        "model:\n  optim:\n    optimizer: {class_path: AdamWW}\n",
        "there is no Optimizer 'AdamWW'. Did you mean 'AdamW'?",
        3,
    ),
    "argument of the optimizer": (
        "model:\n  optim:\n    optimizer:\n      init_args: {learning_rate: 1}\n",
        "AdamW (`model.optim.optimizer`) has no setting 'learning_rate'. Known: lr, ",
        4,
    ),
    "callback": (
        "trainer:\n  callbacks+:\n    - class_path: EarlyStoping\n",
        "there is no Callback 'EarlyStoping'. Did you mean 'EarlyStopping'?",
        3,
    ),
    "argument of a callback": (
        "trainer:\n  callbacks+:\n    - class_path: EarlyStopping\n      init_args:\n        monito: a\n",
        "EarlyStopping (`trainer.callbacks.0`) has no setting 'monito'. Did you mean 'monitor'?",
        5,
    ),
    "callback without its argument": (
        "trainer:\n  callbacks+:\n    - class_path: EarlyStopping\n",
        "EarlyStopping (`trainer.callbacks.0`) needs 'monitor', and it is not given.",
        3,
    ),
    "full path with a typo": (
        "model:\n  backbone:\n    class_path: mtl.backbones.image.residual_fpn.ResidualFNP\n",
        "cannot import 'mtl.backbones.image.residual_fpn.ResidualFNP': module 'mtl.backbones.image.residual_fpn' has "
        "no attribute 'ResidualFNP'. Did you mean 'ResidualFPN'?",
        3,
    ),
    "a class that has moved": (
        "model:\n  backbone:\n    class_path: mtl.backbones.residual_fpn.ResidualFPN\n",
        "cannot import 'mtl.backbones.residual_fpn.ResidualFPN': no module named 'mtl.backbones.residual_fpn'. Did you "
        "mean 'mtl.backbones.image.residual_fpn.ResidualFPN'?",
        3,
    ),
    "tasks given twice": ("model:\n  tasks: {}\n", "`model.tasks` comes from the data module", 2),
    "loss weight": (
        "model:\n  loss_weights:\n    largest: high\n",
        "`model.loss_weights.largest` must be a number; found 'high'.",
        3,
    ),
}

ON_THE_COMMAND_LINE = {
    "--trainer.max_ep 3": "has no setting 'max_ep'. Did you mean 'max_epochs'?",
    "--trainer.max_steps many": "`trainer.max_steps` must be a whole number; found 'many'.",
    "--data DigitScene": "there is no JointDataModule 'DigitScene'. Did you mean 'DigitScenes'?",
    "--data.num_trian 5": "DigitScenes (`data`) has no setting 'num_trian'. Did you mean 'num_train'?",
    "--max_steps 5": "there is no setting 'max_steps'. Did you mean 'trainer.max_steps'?",
    "--configs x": "there is no setting 'configs'. Did you mean 'config'?",
    "--checkpoint.moniter x": "has no setting 'moniter'. Did you mean 'monitor'?",
    "--tracking.wandb no": "`tracking.wandb` must be one of 'auto', 'online', 'offline', 'off'; found 'no'.",
    "--trainer.precision fp16": "found 'fp16'. Did you mean 'bf16'?",
}


def overlay(folder: Path, text: str) -> list[str]:
    (folder / "mistake.yaml").write_text(text)
    return ["fit", "--config", "tiny.yaml", "--config", "mistake.yaml"]


@pytest.mark.parametrize("mistake", IN_FILES)
def test_a_mistake_in_a_file_is_told_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    text, words, line = IN_FILES[mistake]
    assert main(overlay(folder, text)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.splitlines()[-1].startswith(f"  mistake.yaml:{line}: ")
    assert len(said.splitlines()) <= 5
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("flags", ON_THE_COMMAND_LINE)
def test_a_mistake_in_a_flag_is_told_with_the_flag(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    assert main(["fit", "--config", "tiny.yaml", *flags.split()]) == 2
    said = capsys.readouterr().err
    assert ON_THE_COMMAND_LINE[flags] in said
    assert said.splitlines()[-1] == f"  command line: {flags}"


CONSTRUCTORS = {
    "head without a task": (
        "model:\n  heads:\n    scene: {class_path: ClassificationHead}\n",
        "head 'scene' has no entry in data.tasks",
        "  mistake.yaml:3: scene: ",
    ),
    "head for another kind": (
        "model:\n  heads:\n    boxes: {class_path: ClassificationHead}\n",
        "task 'boxes' is of kind 'detection'",
        "  mistake.yaml:3: boxes: ",
    ),
    "data": (
        "data:\n  init_args:\n    min_digit_px: 100\n",
        "digit sizes 100..14 px must be within",
        "",
    ),
    "weights without effect": (
        "trainer:\n  callbacks+: {class_path: LossBalancing, init_args: {method: UPGrad}}\n",
        "loss_weights {'largest': 0.3} have no effect",
        "  tiny.yaml:11: loss_weights: {largest: 0.3}",
    ),
    "optimizer": (
        "model:\n  optim:\n    lr_factors:\n      bakbone: 0.1\n",
        "lr_factors names 'bakbone', which holds no trainable parameter. Did you mean 'backbone'?",
        "  mistake.yaml:4: bakbone: 0.1",
    ),
}


@pytest.mark.parametrize("mistake", CONSTRUCTORS)
def test_what_a_constructor_refuses_is_told_without_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    text, words, where = CONSTRUCTORS[mistake]
    assert main(overlay(folder, text)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert where in said
    assert "Traceback" not in said


def test_a_missing_section_is_told_with_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--data", "DigitScenes"]) == 2
    said = capsys.readouterr().err
    assert "the config needs `model.backbone`, and it is not given. Known: " in said
    assert "ResidualFPN" in said
    assert main(["fit"]) == 2
    assert "`fit` needs a config: --config" in capsys.readouterr().err


def test_a_config_without_a_section_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "short.yaml").write_text("seed_everything: 3\n")
    assert main(["fit", "--config", "short.yaml"]) == 2
    assert capsys.readouterr().err.rstrip().endswith(" Read: short.yaml.")
