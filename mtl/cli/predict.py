"""`python -m mtl predict`: pictures, rows of a table, sentences, recordings or own samples through a trained model."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.cli.standard_input import named_file
from mtl.config.foreign_files import own_folder
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.data.table.module import TableDataModule
from mtl.evaluation.build import build_data, build_data_of_run
from mtl.evaluation.device import chosen_device
from mtl.evaluation.load import as_in_training, load_checkpoint
from mtl.evaluation.predictions.picture_sources import list_pictures
from mtl.evaluation.predictions.predict_audio import predict_audio
from mtl.evaluation.predictions.predict_folder import predict_folder
from mtl.evaluation.predictions.predict_split import SPLITS, predict_split
from mtl.evaluation.predictions.predict_table import predict_table
from mtl.evaluation.predictions.predict_text import predict_text
from mtl.evaluation.predictions.predictor import OTHER_SOURCES, channels_of_pictures, predictor_of
from mtl.export.onnx_file import OnnxModel
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint


def predict(arguments: list[str]) -> None:
    """Write a JSON file and a CSV; of pictures also annotated copies; of a table a CSV alone.

    Args:
        arguments: what follows `predict`.

    Raises:
        ConfigError: if no trained model is named.
        FileNotFoundError: if the run, the checkpoint or the folder of pictures is missing.
    """
    options = _parser().parse_args(arguments)
    if options.run is None and options.ckpt_path is None and options.model is None:
        raise ConfigError(
            "`predict` needs a trained model: --run runs/<experiment>/<name>, --ckpt_path FILE, or --model FILE.onnx."
        )
    other = options.model is None and (options.table or options.text or options.audio or options.split)
    if options.model is not None and (options.table or options.text or options.audio or options.split):
        raise ConfigError(
            "--model reads pictures (--images). A file of sentences or recordings is run by `infer.py` beside it; for "
            "tables of predictions give --run in place of --model."
        )
    if options.images is None and not other:
        raise ConfigError(
            "`predict` needs --images FOLDER; a run of a table takes --table FILE, a run of sentences --text FILE, "
            "a run of recordings --audio FOLDER, and any run --split test for the samples of its own data."
        )
    images = list_pictures(options.images or [])
    if options.model is not None:
        _predict_exported(options, images)
        return
    allow_imports(options.allow.split(",") if options.allow else ())
    named = options.ckpt_path is not None and not (options.run and options.ckpt_path in ("best", "last"))
    checkpoint = (
        checkpoint_file(options.ckpt_path) if named else find_checkpoint(options.run, options.ckpt_path or "best")
    )
    run = options.run or checkpoint.resolve().parents[1]
    if options.table is not None:
        with named_file(options.table) as options.table:
            _predict_table(options, checkpoint, run)
        return
    if options.text is not None:
        with named_file(options.text) as options.text:
            _predict_text(options, checkpoint, run)
        return
    if options.audio is not None:
        _predict_audio(options, checkpoint, run)
        return
    if options.split is not None:
        _predict_split(options, checkpoint, run)
        return
    model = _model(checkpoint, options.device)
    channels_of_pictures(model.model)  # a model of something else is refused before its size is asked for
    settings = as_in_training(run)
    if options.image_size:
        settings["image_size"] = _side_or_two(options.image_size)
    if "image_size" not in settings:
        raise ConfigError(f"{str(run / 'config.yaml')!r} does not say how large the images were; give --image_size.")
    output = options.output or (run / "predictions" if settings and options.run else Path("predictions"))
    own_folder(run if settings and options.run and options.output is None else output)
    found = predict_folder(
        model,
        images=images,
        output=output,
        score_threshold=options.score_threshold,
        batch_size=options.batch_size,
        pictures=options.pictures,
        formats=options.format,
        video=options.video,
        **settings,
    )
    _say(found, output)


def _predict_exported(options: argparse.Namespace, images: list[Path]) -> None:
    if options.images is None or options.run or options.ckpt_path:
        raise ConfigError("--model FILE.onnx holds the whole model: give --images, and neither --run nor --ckpt_path.")
    if not options.model.is_file():
        raise FileNotFoundError(f"there is no file {str(options.model)!r}; `python -m mtl export` writes model.onnx.")
    file = OnnxModel(options.model)
    predictor_of(file)  # a model of something else is refused before its size is asked for
    known = file.description
    size = options.image_size or known.get("size")
    output = options.output or Path("predictions")
    own_folder(output)
    found = predict_folder(
        file,
        images=images,
        output=output,
        image_size=size and _side_or_two(size),
        score_threshold=options.score_threshold,
        batch_size=options.batch_size,
        fit=known.get("fit", "letterbox"),
        pictures=options.pictures,
        formats=options.format,
        video=options.video,
    )
    _say(found, output)


def _side_or_two(size: list[int]) -> list[int] | int:
    if len(size) > 2:
        raise ConfigError(f"--image_size takes one side, or height and width; found {' '.join(map(str, size))}.")
    return size if len(size) == 2 else size[0]


def _say(found: dict[str, Any], output: Path) -> None:
    Console(highlight=False).print(
        f"{found['pictures']} pictures, {found['boxes']} boxes, {found['skipped']} files skipped: {output}",
        soft_wrap=True,
    )
    if "frames" in found:
        Console(highlight=False).print(found["frames"], soft_wrap=True, markup=False)


def _predict_table(options: argparse.Namespace, checkpoint: Path, run: Path) -> None:
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"no config.yaml in {str(run)!r} says what the columns mean; give --run.")
    data = build_data(read_config([run / "config.yaml"]))
    if not isinstance(data, TableDataModule):
        raise ConfigError(f"--table: this run learned from {type(data).__name__}, which is no table. {OTHER_SOURCES}")
    output = (options.output or run / "predictions") / "predictions.csv"
    found = predict_table(_model(checkpoint, options.device), data, options.table, output, options.batch_size)
    text = f"{found['rows']} rows, {found['skipped']} rows skipped: {output}"
    Console(highlight=False).print(text, soft_wrap=True)


def _predict_text(options: argparse.Namespace, checkpoint: Path, run: Path) -> None:
    output = options.output or (run / "predictions" if options.run else Path("predictions"))
    found = predict_text(_model(checkpoint, options.device), options.text, output, options.batch_size)
    text = f"{found['sentences']} sentences, {found['skipped']} lines skipped: {output}"
    Console(highlight=False).print(text, soft_wrap=True)


def _predict_audio(options: argparse.Namespace, checkpoint: Path, run: Path) -> None:
    if not options.audio.exists():
        raise FileNotFoundError(
            f"there is no folder {str(options.audio)!r}; --audio takes a folder of recordings, or one recording."
        )
    output = options.output or (run / "predictions" if options.run else Path("predictions"))
    found = predict_audio(
        _model(checkpoint, options.device), options.audio, output, options.batch_size, options.max_seconds
    )
    text = f"{found['recordings']} recordings, {found['skipped']} files skipped: {output}"
    Console(highlight=False).print(text, soft_wrap=True)


def _predict_split(options: argparse.Namespace, checkpoint: Path, run: Path) -> None:
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"no config.yaml in {str(run)!r} says which data the run learned from; give --run.")
    data = build_data_of_run(read_config([run / "config.yaml"]))
    output = options.output or (run / "predictions" if options.run else Path("predictions")) / options.split
    model = _model(checkpoint, options.device)
    found = predict_split(model, data, options.split, output, options.score_threshold, options.batch_size)
    Console(highlight=False).print(f"{found['samples']} {options.split} samples: {output}", soft_wrap=True)


def _model(checkpoint: Path, device: str | None) -> MultiTaskLightningModule:
    chosen = chosen_device(device)  # before the checkpoint is read, which takes its time
    return load_checkpoint(checkpoint).to(chosen)


def _parser() -> argparse.ArgumentParser:
    example = "example: python -m mtl predict --run runs/digits/short --images my_pictures 'more/*.jpg' --output found"
    parser = argparse.ArgumentParser("mtl predict", description=__doc__, epilog=example, allow_abbrev=False)
    parser.add_argument("--run", type=Path, help="folder of the run; its best checkpoint is used")
    parser.add_argument("--ckpt_path", help="another checkpoint; with --run also best or last")
    parser.add_argument("--model", type=Path, help="model.onnx that `export` wrote, in place of --run")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--images",
        nargs="+",
        help="folders, pictures, patterns such as 'a/*.jpg', a list of names (.txt), or - for names on standard input",
    )
    source.add_argument("--table", type=Path, help="CSV with the input columns, or - for standard input")
    source.add_argument("--text", type=Path, help="file with one sentence a line, or - for standard input")
    source.add_argument("--audio", type=Path, help="folder of recordings (WAV, FLAC, Ogg), or one recording")
    source.add_argument("--split", choices=SPLITS, help="samples of the run's own data, of any input kind")
    parser.add_argument("--output", type=Path, help="folder to write to [RUN/predictions]")
    parser.add_argument(
        "--score", "--score_threshold", dest="score_threshold", type=float, default=0.3, metavar="S",
        help="leave out boxes below it [0.3]",
    )  # fmt: skip
    parser.add_argument(
        "--format", nargs="+", default=[], help="coco and csv are always written; also yolo and voc, for other tools"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps [the GPU if there is one]")
    parser.add_argument(
        "--pictures", type=_how_many, metavar="none|N|all", help="annotated copies of the first N pictures [all]"
    )
    parser.add_argument(
        "--video", type=float, metavar="FPS",
        help="the pictures are a sequence: write their copies as frames/000001.png, ..., and frames.mp4 with ffmpeg",
    )  # fmt: skip
    parser.add_argument("--batch_size", type=int, default=16, help="how many samples at a time [16]")
    parser.add_argument("--max_seconds", type=float, default=60.0, help="leave out longer recordings [60]")
    parser.add_argument(
        "--image_size",
        type=int,
        nargs="+",
        help="height and width of the network's input, or its side [as in training]",
    )
    parser.add_argument("--allow", help="module that the checkpoint may import beside mtl, torch, torchvision, ...")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser


def _how_many(text: str) -> int | None:
    if text in ("none", "all"):
        return 0 if text == "none" else None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be none, all, or a number")
    return int(text)
