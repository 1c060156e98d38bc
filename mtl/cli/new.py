"""`python -m mtl new`: a config for a folder of your pictures, which trains at once.

    python -m mtl new my_data --to configs/mine.yaml
    python -m mtl new my_data --to configs/mine.yaml --trunk resnet18   # or the folder of a run of yours
    python -m mtl fit --config configs/mine.yaml

The folder may hold VOC or CVAT XML, COCO, LabelMe or CreateML JSON, YOLO text files, a CSV of boxes, a folder for each
class, masks, and a CSV of labels.
Splits that it defines are kept; others are drawn and written beside the config.
"""

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.text import Text

from mtl.config.foreign_files import UnsafeFile
from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.errors import printable
from mtl.evaluation.data.new_config import FRACTIONS, NewConfig, new_config, write_new
from mtl.evaluation.data.trunk import SCRATCH, trunk_of

_MOST_CLASSES = 12  # in a line


def new(arguments: list[str]) -> None:
    """Look at a folder and write a config.

    Args:
        arguments: what follows `new`.

    Raises:
        ConfigError: if the folder holds nothing that is known, or the config is there already.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl new", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("folder", type=path, help="folder of the data")
    parser.add_argument("--to", type=path, help="config to write [configs/FOLDER.yaml]")
    parser.add_argument(
        "--fractions", type=float, nargs=3, default=FRACTIONS, help="shares of train, val and test, if drawn"
    )
    parser.add_argument("--group", help="regular expression: pictures whose names share its match stay in one split")
    parser.add_argument("--seed", type=int, default=0, help="of the splits [0]")
    parser.add_argument(
        "--trunk", help="with trained weights: a network of torchvision, or the folder of a run [small, from scratch]"
    )
    options = parser.parse_args(arguments)
    to = options.to or Path("configs") / f"{options.folder.resolve().name}.yaml"
    if to.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--to {str(to)!r} must be the name of a config: it ends with .yaml.")
    try:
        found = new_config(options.folder, tuple(options.fractions), options.group, options.seed)
        trunk = SCRATCH if options.trunk is None else trunk_of(options.trunk)
        files = write_new(found, to, options.folder, trunk)
    except UnsafeFile:
        raise
    except (ValueError, FileExistsError) as error:
        raise ConfigError(str(error)) from error
    _say(Console(highlight=False), found, files)


def _say(console: Console, found: NewConfig, files: list[Path]) -> None:
    lines = [f"{', '.join(found.recognised.formats)}: {found.recognised.class_path}"]
    lines += [f"pictures: {', '.join(f'{number:,} {split}' for split, number in found.counts.items())}"]
    for task, kind in found.recognised.tasks.items():
        names = found.proposal.image_classes.get(task, ())
        more = f", ... ({len(names)})" if len(names) > _MOST_CLASSES else ""
        lines += [f"task {task} ({kind}): {', '.join(names[:_MOST_CLASSES])}{more}"]
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"wrote {files[0]}" + (f" and {len(files) - 1} files in {files[1].parent}" if len(files) > 1 else "")]
    config = quote(str(files[0]))
    lines += [f"next: python -m mtl check --config {config}", f"      python -m mtl fit --config {config}"]
    console.print(Text("\n".join(printable(line, 1000) for line in lines)), soft_wrap=True)
