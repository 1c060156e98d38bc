"""`python -m mtl predict`: a folder of pictures through a trained model."""

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mtl.config.foreign_files import own_folder
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.evaluation.load import find_checkpoint, load_checkpoint
from mtl.evaluation.predict_folder import predict_folder
from mtl.runs.checkpoint_files import checkpoint_file


def predict(arguments: list[str]) -> None:
    """Write COCO JSON, a CSV and annotated PNGs.

    Args:
        arguments: what follows `predict`.

    Raises:
        ConfigError: if no trained model is named.
        FileNotFoundError: if the run, the checkpoint or the folder of pictures is missing.
    """
    options = _parser().parse_args(arguments)
    if options.run is None and options.ckpt_path is None:
        raise ConfigError("`predict` needs a trained model: --run runs/<experiment>/<name>, or --ckpt_path FILE.")
    if not options.images.is_dir():
        raise FileNotFoundError(f"there is no folder {str(options.images)!r}; --images takes a folder of pictures.")
    allow_imports(options.allow.split(",") if options.allow else ())
    checkpoint = checkpoint_file(options.ckpt_path) if options.ckpt_path else find_checkpoint(options.run)
    run = options.run or checkpoint.resolve().parents[1]
    settings = _as_in_training(run) if (run / "config.yaml").is_file() else {}
    if options.image_size:
        settings["image_size"] = options.image_size if len(options.image_size) == 2 else options.image_size[0]
    if "image_size" not in settings:
        raise ConfigError(f"no config.yaml in {str(run)!r} says how large the images were; give --image_size.")
    output = options.output or (run / "predictions" if settings and options.run else Path("predictions"))
    own_folder(run if settings and options.run and options.output is None else output)
    found = predict_folder(
        load_checkpoint(checkpoint).to("cuda" if torch.cuda.is_available() else "cpu"),
        images=options.images,
        output=output,
        score_threshold=options.score_threshold,
        batch_size=options.batch_size,
        **settings,
    )
    console = Console(highlight=False)
    console.print(
        f"{found['pictures']} pictures, {found['boxes']} boxes, {found['skipped']} files skipped: {output}",
        soft_wrap=True,
    )


def _as_in_training(run: Path) -> dict[str, Any]:
    """How the run brought its images to the network's size."""
    config = read_config([run / "config.yaml"])
    found = {name: config.get(("data", "init_args", name)) for name in ("image_size", "fit")}
    return {name: value for name, value in found.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mtl predict", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", type=Path, help="folder of the run; its best checkpoint is used")
    parser.add_argument("--ckpt_path", help="another checkpoint")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--output", type=Path, help="folder to write to [RUN/predictions]")
    parser.add_argument("--score_threshold", type=float, default=0.3, help="leave out boxes below it [0.3]")
    parser.add_argument("--batch_size", type=int, default=16, help="pictures at a time [16]")
    parser.add_argument(
        "--image_size",
        type=int,
        nargs="+",
        help="height and width of the network's input, or its side [as in training]",
    )
    parser.add_argument("--allow", help="module that the checkpoint may import beside mtl, torch, torchvision, ...")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser
