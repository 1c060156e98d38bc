"""`python -m mtl check`: what is in the data of a config, and what should be looked at, without training.

    python -m mtl check --config configs/digits.yaml
    python -m mtl check --config configs/digits.yaml --json check.json --html check.html --strict
    python -m mtl check --run runs/digits/NAME --suspects --html check.html

Every flag of `fit` works too. Exit code: 0, or 1 where there are errors (with --strict also warnings, not notes).
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.cli.show import config_of
from mtl.config.command_line import read_command_line
from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.data.module import JointDataModule
from mtl.errors import printable
from mtl.evaluation.build import blamed, build_data_of_run
from mtl.evaluation.data.data_check import DataCheck, check_data
from mtl.evaluation.data.data_findings import Finding
from mtl.evaluation.data.data_page import data_page
from mtl.evaluation.data.suspects import suspects

_STYLES = {"error": "bold red", "warning": "bold", "note": "dim"}
_LEVELS = list(_STYLES)
_MOST_SHOWN = 5  # findings of a kind


def check(arguments: list[str]) -> None:
    """Read the data of a config and print counts and findings.

    Args:
        arguments: what follows `check`.

    Raises:
        ConfigError: without a config, or for anything wrong in its data.
        SystemExit: with 1, if there is an error.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl check", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("--json", type=path, help="also write counts and all findings to this file")
    parser.add_argument("--html", type=path, help="also write a page with the samples concerned, labels drawn")
    parser.add_argument("--samples", type=int, help="read at most so many samples of a split [all]")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument(
        "--suspects", action="store_true", help="with --run: labels that the trained run disagrees with"
    )
    options, rest = parser.parse_known_args(arguments)
    config = config_of("check", rest, parser)
    data = build_data_of_run(config)
    with blamed(config, data):
        found = check_data(data, options.samples)
    if options.suspects:
        found.findings.extend(_suspects(data, read_command_line("check", rest).run, options.samples))
    console = Console(highlight=False)
    _show(console, found)
    if options.json is not None:
        _write(options.json, json.dumps(found.plain(), indent=2) + "\n")
    if options.html is not None:
        _write(options.html, data_page(data, found, f"check of {getattr(data, 'root', type(data).__name__)}"))
        console.print(Text(f"\nwrote {printable(str(options.html))}"), soft_wrap=True)
    if found.has_errors or (options.strict and any(one.level != "note" for one in found.findings)):
        raise SystemExit(1)


def _suspects(data: JointDataModule, run: Path | None, most: int | None) -> list[Finding]:
    if run is None:
        raise ConfigError("--suspects asks a trained run about the labels: --run RUN, or --run latest.")
    from mtl.evaluation.load import load_run  # of all of a model, which the other checks do without

    return suspects(data, load_run(run).model, most)


def _show(console: Console, found: DataCheck) -> None:
    table = Table("task", "class", *found.counts, box=None, pad_edge=False)
    tasks = dict.fromkeys(task for counts in found.counts.values() for task in counts)
    for task in tasks:
        of_splits = [counts[task] for counts in found.counts.values()]
        table.add_row(Text(task), "labelled", *(f"{count.labelled:,} of {count.samples:,}" for count in of_splits))
        for name in dict.fromkeys(name for count in of_splits for name in count.classes):
            table.add_row("", Text(printable(name, 60)), *(f"{count.classes[name]:,}" for count in of_splits))
    console.print(table)
    kinds = Counter((finding.level, finding.kind) for finding in found.findings)
    for (level, kind), number in sorted(kinds.items(), key=lambda item: (_LEVELS.index(item[0][0]), item[0][1])):
        console.print(Text(f"\n{level}: {number} x {kind}", style=_STYLES[level]))
        texts = [finding.text for finding in found.findings if (finding.level, finding.kind) == (level, kind)]
        for text in texts[:_MOST_SHOWN]:
            console.print(Text(f"  {printable(text)}"), soft_wrap=True)
        if number > _MOST_SHOWN:
            console.print(f"  and {number - _MOST_SHOWN} more; --json FILE has all, --html FILE draws them")
    if not kinds:
        console.print("\nnothing to look at")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
