"""`python -m mtl show`: training batches as the network sees them, with all targets drawn, before training.

    python -m mtl show --config configs/digits.yaml --to pictures/digits

Every flag of `fit` works too: --data.augment.mosaic 1.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mtl.cli.trainer.config_sections import make_schema
from mtl.config.command_line import OPTIONS, CommandLine, read_command_line
from mtl.config.import_policy import allow_imports
from mtl.config.merge import Config, read_config
from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean
from mtl.evaluation.build import blamed, build_data_of_run
from mtl.evaluation.data.show_batches import show_batches


def show(arguments: list[str]) -> None:
    """Draw the first training batches of a config.

    Args:
        arguments: what follows `show`.

    Raises:
        ConfigError: without a config, or for anything wrong in its data.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl show", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("--to", type=path, default=Path("pictures"), help="folder to write to [pictures]")
    parser.add_argument("--batches", type=int, default=2, help="how many batches, one PNG each [2]")
    parser.add_argument("--samples", type=int, default=16, help="most samples of a batch [16]")
    options, rest = parser.parse_known_args(arguments)
    config = config_of("show", rest, parser)
    data = build_data_of_run(config)
    with blamed(config, data):
        files = show_batches(data, options.to, options.batches, options.samples)
    for file in files:
        Console(highlight=False).print(Text(str(file)), soft_wrap=True)


def config_of(command: str, words: list[str], parser: argparse.ArgumentParser) -> Config:
    """The merged config that `--config` and the flags of `fit` describe.

    Args:
        command: for the message.
        words: what the command does not take itself.
        parser: of what it takes itself, for the message.

    Raises:
        ConfigError: without a config, or for a word that is no flag.
    """
    line = read_command_line(command, words)
    refuse_other_flags(line, parser)
    if line.run is not None and not line.configs:
        line.configs.append(line.run / "config.yaml")
    if not line.configs:
        raise ConfigError(f"`{command}` needs a config: --config configs/digits.yaml, or --run RUN.")
    allow_imports(line.allow)
    return read_config(line.configs, line.flags)


def refuse_other_flags(line: CommandLine, parser: argparse.ArgumentParser) -> None:
    """Refuse flags that belong to no section of a config, in commands that build only the data.

    Args:
        line: what the command does not take itself.
        parser: of what it takes itself.

    Raises:
        ConfigError: naming the first one.
    """
    sections = make_schema().sections
    own = [word for word in parser.format_usage().replace("[", " ").replace("]", " ").split() if word[:2] == "--"]
    for key, _ in line.flags:
        if key.partition(".")[0].rstrip("+") not in sections:
            near = did_you_mean(f"--{key}", [*own, *OPTIONS, *(f"--{name}" for name in sections)])
            raise ConfigError(
                f"`{parser.prog}` has no option --{key}.{near} It takes {', '.join(own)}, and the flags of `fit`."
            )
