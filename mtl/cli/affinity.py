"""`python -m mtl affinity` and `group`: are these tasks related, and which should share a network?"""

import argparse
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

import mtl.affinity
from mtl.affinity.grouping import group_tasks
from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.affinity.over_training import write_over_training
from mtl.affinity.tables import Affinity, read_affinity, summarise, write_affinities
from mtl.batch import Batch
from mtl.cli.plot import add_format_flag
from mtl.cli.queue.tables_to_wandb import add_wandb_flag, tables_to_wandb
from mtl.config.foreign_files import own_folder
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.shipped import own_or_shipped
from mtl.config.yaml_lines import ConfigError, shown
from mtl.data.module import JointDataModule
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean
from mtl.evaluation.build import build_data
from mtl.evaluation.load import load_run
from mtl.experiments.single_tasks import head_names
from mtl.model import MultiTaskModel
from mtl.runs.checkpoint_files import find_checkpoint, read_checkpoint


def affinity(arguments: list[str]) -> None:
    """Measure every pair of tasks and write CSV files and a picture.

    Args:
        arguments: what follows `affinity`.
    """
    options = _affinity_parser().parse_args(arguments)
    options.config = options.config and own_or_shipped(options.config)
    if (options.run is None) == (options.config is None):
        raise ConfigError("`affinity` needs --run RUN for a trained model, or --config FILE to look at labels alone.")
    if options.run is None and options.checkpoints:
        raise ConfigError("--checkpoints come from a run; name it with --run, or leave them out.")
    wanted = _measures(options.measures)
    allow_imports(options.allow.split(",") if options.allow else ())
    source = options.config or options.run / "config.yaml"
    if not source.is_file():
        raise FileNotFoundError(f"there is no {str(source)!r}; --run takes a run folder, --config a config file.")
    output = options.output or (options.run / "affinity" if options.run else Path("affinity"))
    own_folder(options.run if options.run and not options.output else output)
    data = _data(source)
    models = {} if options.run is None else _models(options.run, options.checkpoints or ["best"])
    singles = {name: found for run in options.single for name, found in _single(run).items()}
    names = list(next(iter(models.values())).heads) if models else list(data.tasks)
    tasks, batches = {name: data.tasks[name] for name in names}, _batches(data, options.batches)
    there = {"labels"} | ({"model"} if models else set()) | ({"singles"} if singles else set())
    found: dict[str, Affinity] = {}
    over_training: dict[int, dict[str, Affinity]] = {step: {} for step in models}
    for cls in (cls for cls in wanted if cls.needs in there):
        matrices = []
        # only a joint model changes with the checkpoint
        for step, model in (models if cls.needs == "model" else {0: None}).items():
            matrices.append(cls.example().measure(Evidence(tasks, batches, model, singles or None)))
            if model is not None:
                over_training[step][cls.__name__] = summarise(matrices[-1], names)
        found[cls.__name__] = summarise(torch.cat(matrices), names)
    console = Console(highlight=False)
    for name, result in found.items():
        console.print(_table(name, result))
    files = write_affinities(found, output)
    if len(models) > 1 and any(over_training.values()):
        files += write_over_training(over_training, output)
    console.print(f"{len(files)} files in {output}", soft_wrap=True)
    tables_to_wandb(options.wandb, output, "affinity", files)


def group(arguments: list[str]) -> None:
    """The best groups under a budget of networks: a config for each, or one network whose branches are the groups.

    Args:
        arguments: what follows `group`.
    """
    options = _group_parser().parse_args(arguments)
    options.config = own_or_shipped(options.config)
    if not options.affinity.is_file():
        raise FileNotFoundError(f"there is no {str(options.affinity)!r}; `python -m mtl affinity` writes it.")
    found = read_affinity(options.affinity)
    heads = head_names(options.config)
    if set(heads) != set(found.names):
        raise ConfigError(f"{options.config} has heads {shown(heads)}; the affinity is of {shown(list(found.names))}.")
    groups, total = group_tasks(found.mean_KK, options.networks, options.alone)
    console = Console(highlight=False)
    own_folder(options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.tree_from is not None:
        tree = {options.tree_from: [[name for name in heads if name in _named(found, members)] for members in groups]}
        file = options.output / f"{options.config.stem}_tree.yaml"
        _write_tree(file, options.config, tree)
        console.print(f"one network that parts at stage {options.tree_from}: {file}", soft_wrap=True)
    for members in groups:
        names = _named(found, members)
        if options.tree_from is None:
            file = options.output / f"{options.config.stem}_{'_'.join(names)}.yaml"
            _write_config(file, options.config, [name for name in heads if name not in names])
            console.print(f"{' + '.join(names)}: {file}", soft_wrap=True)
        else:
            console.print(f"  {' + '.join(names)}")
        for i in members:
            for j in members:
                if i != j and float(found.mean_KK[i, j]) < options.alone:
                    console.print(
                        f"  warning: {found.names[i]} is likely to harm {found.names[j]} "
                        f"({float(found.mean_KK[i, j]):.3g}); more networks would part them",
                        soft_wrap=True,
                    )
    console.print(f"total affinity {total:.4g}")


def _data(config: Path) -> JointDataModule:
    data = build_data(read_config([config]))
    data.setup("fit")
    return data


def _batches(data: JointDataModule, number: int) -> list[Batch]:
    return list(islice(data.train_dataloader(), number))


def _models(run: Path, checkpoints: Sequence[str]) -> dict[int, MultiTaskModel]:
    """The joint model in training mode, by step of its checkpoint."""
    found = {}
    for name in checkpoints:
        step = int(read_checkpoint(find_checkpoint(run, name)).get("global_step", 0))
        found[step] = load_run(run, name).model.train()
    return dict(sorted(found.items()))


def _single(run: Path) -> dict[str, MultiTaskModel]:
    model = load_run(run).model
    if len(model.heads) != 1:
        raise ConfigError(f"--single {run}: the model has tasks {', '.join(model.heads)}; give runs of one task each.")
    return {next(iter(model.heads)): model}


def _measures(names: Sequence[str] | None) -> list[type[AffinityMeasure]]:
    assert mtl.affinity  # importing the package imports every measure
    known = {cls.__name__: cls for cls in concrete_subclasses(AffinityMeasure)}  # type: ignore[type-abstract]
    for name in names or ():
        if name not in known:
            raise ConfigError(f"no affinity measure {name!r}.{did_you_mean(name, known)} There are {', '.join(known)}.")
    return [known[name] for name in names or known]


def _table(name: str, found: Affinity) -> Table:
    table = Table(title=name, title_justify="left")
    for head in ("from \\ to", *found.names):
        table.add_column(head, overflow="fold")
    for i, first in enumerate(found.names):
        cells = [
            f"{float(found.mean_KK[i, j]):.2g} ± {float(found.spread_KK[i, j]):.0g}" for j in range(len(found.names))
        ]
        table.add_row(first, *cells)
    return table


def _write_config(file: Path, base: Path, without: list[str]) -> None:
    overlay: dict[str, Any] = {"base": os.path.relpath(base, file.parent)}
    if without:
        overlay["model"] = {"heads": dict.fromkeys(without)}
    comment = "# One network for a group of tasks, as `python -m mtl group` chose it\n"
    file.write_text(comment + yaml.safe_dump(overlay, sort_keys=False), encoding="utf-8")


def _write_tree(file: Path, base: Path, tree: dict[int, list[list[str]]]) -> None:
    architecture = {"class_path": "Branched", "init_args": {"tree": tree}}
    overlay = {"base": os.path.relpath(base, file.parent), "model": {"architecture": architecture}}
    comment = "# One network whose branches are groups of tasks, as `python -m mtl group` chose them\n"
    file.write_text(comment + yaml.safe_dump(overlay, sort_keys=False, default_flow_style=None), encoding="utf-8")


def _named(found: Affinity, members: Sequence[int]) -> list[str]:
    return [found.names[task] for task in members]


def _affinity_parser() -> argparse.ArgumentParser:
    example = "example: python -m mtl affinity --run runs/digits/short --batches 10"
    about = "How related are the tasks?"
    parser = argparse.ArgumentParser("mtl affinity", description=about, epilog=example, allow_abbrev=False)
    parser.add_argument("--run", type=Path, help="run of the joint model: gradients and lookahead")
    parser.add_argument("--config", type=Path, help="config, to look at labels before anything is trained")
    parser.add_argument(
        "--checkpoints", nargs="+", help="of the run; of several the mean, and curves over training [best]"
    )
    parser.add_argument("--single", type=Path, nargs="+", default=[], help="runs of single tasks: representations")
    parser.add_argument("--measures", nargs="+", help="only these [all that can be made of what is given]")
    parser.add_argument("--batches", type=int, default=20, help="training batches to look at [20]")
    parser.add_argument("--output", type=Path, help="folder of the results [<run>/affinity]")
    add_wandb_flag(parser)
    add_format_flag(parser)
    parser.add_argument("--allow", help="modules of your own that the config may import, separated by commas")
    return parser


def _group_parser() -> argparse.ArgumentParser:
    example = (
        "example: python -m mtl group --affinity runs/digits/short/affinity/Lookahead.csv --config configs/digits.yaml "
        "--networks 2"
    )
    about = "Which tasks should share a network?"
    parser = argparse.ArgumentParser("mtl group", description=about, epilog=example, allow_abbrev=False)
    parser.add_argument("--affinity", type=Path, required=True, help="CSV of a measure, <run>/affinity/Lookahead.csv")
    parser.add_argument("--config", type=Path, required=True, help="config of the joint model")
    parser.add_argument("--networks", type=int, required=True, help="most networks that may be trained")
    parser.add_argument("--alone", type=float, default=0.0, help="affinity of a task that shares with nobody [0]")
    parser.add_argument(
        "--tree-from", type=int, help="write one network instead: the groups are branches from this stage on"
    )
    parser.add_argument("--output", type=Path, default=Path("configs/groups"), help="folder of the configs")
    return parser
