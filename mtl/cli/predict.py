"""`python -m mtl predict`: a folder of pictures through a trained model."""

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.cli.config_files import read_config
from mtl.cli.yaml_lines import ConfigError
from mtl.evaluation.import_policy import allow_imports
from mtl.evaluation.load import find_checkpoint, load_checkpoint


def predict(arguments: list[str]) -> None:
    """Write COCO JSON, a CSV and annotated PNGs.

    Args:
        arguments: what follows `predict`.
    """
    options = _parser().parse_args(arguments)
    if options.run is None and options.ckpt_path is None:
        raise ConfigError("`predict` needs a trained model: --run runs/<experiment>/<name>, or --ckpt_path FILE.")
    if not options.images.is_dir():
        raise FileNotFoundError(f"there is no folder {str(options.images)!r}; --images takes a folder of pictures.")
    allow_imports(options.allow.split(",") if options.allow else ())
    checkpoint = find_checkpoint(options.run) if options.run else Path(options.ckpt_path)
    run = options.run or (checkpoint.parent.parent if (checkpoint.parent.parent / "config.yaml").is_file() else None)
    size = options.image_size or (_image_size(run) if run else None)
    output = options.output or (run / "predictions" if run else Path("predictions"))
    found: dict[str, Any] = import_module("mtl.evaluation.predict_folder").predict_folder(
        load_checkpoint(checkpoint),
        images=options.images,
        output=output,
        image_size=size,
        score_threshold=options.score_threshold,
        batch_size=options.batch_size,
    )
    shown = ", ".join(f"{key} {value}" for key, value in found.items() if isinstance(value, int | float | str))
    Console(highlight=False).print(f"{shown}\nwritten to {output}", soft_wrap=True)


def _image_size(run: Path) -> Any:
    """The size of the images that the run was trained on, as its config says it; None if it does not."""
    config = read_config([run / "config.yaml"])
    return config.get(("data", "init_args", "image_size"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mtl predict", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run", type=Path, help="folder of the run; its best checkpoint is used")
    parser.add_argument("--ckpt_path", help="a checkpoint, instead of --run")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--output", type=Path, help="folder to write to [RUN/predictions]")
    parser.add_argument("--score_threshold", type=float, default=0.3, help="leave out boxes below it [0.3]")
    parser.add_argument("--batch_size", type=int, default=16, help="pictures at a time [16]")
    parser.add_argument("--image_size", type=int, help="side of the network's input in pixels [as in training]")
    parser.add_argument("--allow", help="module that the checkpoint may import beside mtl, torch, torchvision, ...")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser
