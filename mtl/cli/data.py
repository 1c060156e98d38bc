"""`python -m mtl data NAME`: fetch a public data set, check it, and write the folder that configs read."""

import argparse
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.data.sources.fetch import fetch, source_of, sources
from mtl.data.sources.source import Source


def data(arguments: list[str]) -> None:
    """Fetch a data set, or show which there are.

    Args:
        arguments: what follows `data`: a name, and the folder to make.

    Raises:
        ConfigError: for a name that is unknown, or a file that differs from what was expected.
    """
    example = "example: python -m mtl data bccd --to data/bccd"
    about = "Fetch a public data set."
    parser = argparse.ArgumentParser("mtl data", description=about, epilog=example, allow_abbrev=False)
    parser.add_argument("name", nargs="?", help="of the data set; without it, show all")
    parser.add_argument("--to", type=path, help="folder to make [data/NAME]")
    parser.add_argument("--mirror", help="address of a server with the paths of the sources, instead of them")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    if options.name is None:
        _show(console, sources())
        return
    to = options.to or Path("data", options.name)
    try:
        source = source_of(options.name)
        new = fetch(source, to, options.mirror, lambda line: console.print(Text(line), soft_wrap=True))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    counts = ", ".join(f"{number} {name}" for name, number in source.counts.items())
    lines = [f"{to} {'holds' if new else 'holds already'} {source.name}: {counts}."]
    lines += [f"Licence: {source.licence}.", f"Cite: {source.cite}."]
    lines += [f"Train on it: python -m mtl fit --config {file}" for file in _configs_of(to)]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _configs_of(folder: Path) -> list[Path]:
    """Configs of the current folder that read a data folder."""
    reads = re.compile(rf"^ +(root|path|pairs): {re.escape(folder.as_posix())}(/.*)?$", re.MULTILINE)
    return [file for file in sorted(Path("configs").glob("*.yaml")) if reads.search(file.read_text("utf-8"))]


def _show(console: Console, found: dict[str, Source]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, source in found.items():
        summary = (type(source).__doc__ or "").split("\n")[0]
        table.add_row(Text(f"  {name}"), Text(f"{summary} Licence: {source.licence}."))
    console.print(table)
    console.print(Text("\nFetch one: python -m mtl data NAME --to data/NAME"))
