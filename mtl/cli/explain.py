"""`python -m mtl explain`: what do the tasks of a run share, at which level, and when did they disagree?

Example: python -m mtl explain --run runs/digits/NAME --single runs/digits_single_boxes/NAME ...
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

import mtl.affinity
from mtl.affinity.sharing.findings_files import write_findings
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from mtl.cli.plot import add_format_flag
from mtl.config.foreign_files import own_folder
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean
from mtl.evaluation.build import build_data
from mtl.evaluation.load import load_checkpoint, load_run, load_untrained
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint_files import find_checkpoint, read_checkpoint

_COLUMNS = 6  # of a table, so that 80 letters hold it


def explain(arguments: list[str]) -> None:
    """Look inside a run, and write a CSV and a picture for each measure of sharing.

    Args:
        arguments: what follows `explain`.

    Raises:
        ConfigError: if the run has one task, no config, or a measure is unknown.
        FileNotFoundError: if the run or a checkpoint is missing.
    """
    options = _parser().parse_args(arguments)
    wanted = _measures(options.measures)
    allow_imports(options.allow.split(",") if options.allow else ())
    run: Path = options.run
    checkpoint = find_checkpoint(run, options.checkpoint)
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"run {str(run)!r} has no config.yaml, which says what its data are.")
    model = load_checkpoint(checkpoint).model
    if len(model.heads) < 2:
        raise ConfigError(f"run {str(run)!r} has one task, {next(iter(model.heads))!r}; sharing needs two or more.")
    if options.batches < 2:
        raise ConfigError(f"--batches {options.batches}: probes train on half of them and test on the others.")
    data = build_data(read_config([run / "config.yaml"]))
    data.setup("fit")
    output = options.output or run / "explanation"
    own_folder(run if options.output is None else output)
    singles = {name: single for path in options.single for name, single in _single(path).items()}
    inside = Inside(
        {name: data.tasks[name] for name in model.heads},
        list(islice(data.train_dataloader(), options.batches)),
        model.train(),
        singles or None,
        load_untrained(checkpoint).model,
        _over_the_run(run) if any(cls.needs == "checkpoints" for cls in wanted) else {},
    )
    there = {"model", "checkpoints"} | ({"singles"} if set(singles) >= set(inside.tasks) else set())
    console = Console(highlight=False)
    found: dict[type[SharingMeasure], Sequence[Finding]] = {}
    for cls in wanted:
        if cls.needs in there:
            found[cls] = cls().measure(inside)
            console.print(*_tables(cls, found[cls]), sep="\n")
        else:
            console.print(f"{cls.__name__} compares single-task networks: name a run of each task with --single.")
    files = write_findings(found, output)
    console.print(f"{len(files)} files in {output}", soft_wrap=True)


def _single(run: Path) -> dict[str, MultiTaskModel]:
    model = load_run(run).model
    if len(model.heads) != 1:
        raise ConfigError(f"--single {run}: the model has tasks {', '.join(model.heads)}; give runs of one task each.")
    return {next(iter(model.heads)): model}


def _over_the_run(run: Path) -> dict[int, MultiTaskModel]:
    """The model of every checkpoint in training mode, by step."""
    found: dict[int, MultiTaskModel] = {}
    for path in sorted((run / "checkpoints").glob("*.ckpt")):
        step = int(read_checkpoint(find_checkpoint(run, path.name)).get("global_step", 0))
        if step not in found:
            found[step] = load_checkpoint(path).model.train()
    return found


def _measures(names: Sequence[str] | None) -> list[type[SharingMeasure]]:
    assert mtl.affinity  # importing the package imports every measure
    known = {cls.__name__: cls for cls in concrete_subclasses(SharingMeasure)}  # type: ignore[type-abstract]
    for name in names or ():
        if name not in known:
            raise ConfigError(
                f"no measure of sharing {name!r}.{did_you_mean(name, known)} There are {', '.join(known)}."
            )
    return [known[name] for name in names or known]


def _tables(cls: type[SharingMeasure], findings: Sequence[Finding]) -> Iterator[Table]:
    """The last step as one table, or as several of few columns each."""
    word = "and" if cls.symmetric else "to"
    last = max((one.step for one in findings if one.step is not None), default=None)
    shown = {(one.source, one.target, one.level): one for one in findings if one.step == last}
    levels = list(dict.fromkeys(level for *_, level in shown))
    pairs = {f"{a} {word} {b}": (a, b) for a, b in dict.fromkeys((one.source, one.target) for one in findings)}
    down = len(pairs) >= len(levels)  # five tasks have twenty pairs, and a network has many layers: rows are the more
    rows, columns = (list(pairs), levels) if down else (levels, list(pairs))
    for start in range(0, len(columns), _COLUMNS):
        some = columns[start : start + _COLUMNS]
        table = Table(title="" if start else cls.__name__, title_justify="left")
        for name in ("tasks" if down else "level", *some):
            table.add_column(name, overflow="fold")
        for row in rows:
            places = [(*pairs[row], column) if down else (*pairs[column], row) for column in some]
            table.add_row(row, *(_cell(shown.get(place)) for place in places))
        yield table


def _cell(one: Finding | None) -> str:
    if one is None or math.isnan(one.value):
        return ""
    beside = ", ".join(f"{name} {value:.2f}" for name, value in one.baselines.items())
    return f"{one.value:.2f}" + (f" ({beside})" if beside else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl explain",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the joint run")
    parser.add_argument("--checkpoint", default="best", help="`best`, `last`, or a file in checkpoints/ [best]")
    parser.add_argument("--single", type=Path, nargs="+", default=[], help="runs of single tasks, for CKA and probes")
    parser.add_argument("--measures", nargs="+", help="only these [all that can be made of what is given]")
    parser.add_argument("--batches", type=int, default=16, help="training batches to look at [16]")
    parser.add_argument("--output", type=Path, help="folder to write to [RUN/explanation]")
    parser.add_argument("--allow", help="module that the checkpoint may import beside mtl, torch, torchvision, ...")
    add_format_flag(parser)
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser
