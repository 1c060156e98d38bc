"""`python -m mtl list`: list the available parts. They are discovered, so a new file appears without an edit."""

import argparse
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.architectures.architecture import Architecture
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.cli.architecture_costs import cost_of
from mtl.config.foreign_files import read_small
from mtl.config.papers import is_of_a_paper
from mtl.config.schema import describe, parameters
from mtl.config.shipped import own_or_shipped, shipped_names
from mtl.config.yaml_limits import MOST_BYTES
from mtl.config.yaml_lines import ConfigError
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean, printable

# the base class of every kind of part, and the package whose import knows all of them
BASES = {
    "heads": ("mtl.heads.head", "Head"),
    "methods": ("mtl.balancing.method", "Method"),
    "schedules": ("mtl.scheduling.schedule", "TaskSchedule"),
    "backbones": ("mtl.backbones.backbone", "Backbone"),
    "architectures": ("mtl.architectures.architecture", "Architecture"),
    "inputs": ("mtl.inputs.input", "Input"),
    "targets": ("mtl.targets.target", "Target"),
    "data": ("mtl.data.module", "JointDataModule"),
    "sources": ("mtl.data.sources.source", "Source"),
    "affinity": ("mtl.affinity.measure", "AffinityMeasure"),
    "callbacks": ("mtl.callbacks.defaults", "Callback"),
}
KINDS = (*BASES, "configs")
CONFIGS = Path("configs")
FAMILIES: dict[type[Method], str] = {
    LossWeighting: "loss weighting",
    GradientWeighting: "gradient weighting",
    GradientAggregation: "gradient aggregation",
}


def show_list(arguments: list[str]) -> None:
    """Print one kind of part, or all.

    Args:
        arguments: what follows `list`: a kind, the name of one class, `--json`.
    """
    example = "examples: python -m mtl list heads; python -m mtl list heads CenterNetHead; python -m mtl list configs"
    about = "List the available parts."
    parser = argparse.ArgumentParser("mtl list", description=about, epilog=example, allow_abbrev=False)
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(KINDS)}; all by default")
    parser.add_argument("name", nargs="?", help="one class: show its settings")
    parser.add_argument("--json", action="store_true", help="for programs: name, description, class_path, settings")
    parser.add_argument("--configs", default="configs", help="their folder [configs; mtl's own too]")
    options = parser.parse_args(arguments)
    if options.kind not in (None, *KINDS):
        raise ConfigError(
            f"nothing of kind {options.kind!r} to list.{did_you_mean(options.kind, KINDS)} Kinds: {', '.join(KINDS)}."
        )
    found = {kind: entries(kind, Path(options.configs)) for kind in ([options.kind] if options.kind else KINDS)}
    if options.name:
        found = {options.kind: [_one(options.kind, options.name, found[options.kind])]}
    console = Console(highlight=False)
    if options.json:
        console.print(Text(json.dumps(found, indent=2)), soft_wrap=True)
    elif options.name:
        _show_one(console, found[options.kind][0])
    else:
        for kind, listed in found.items():
            _show(console, kind, listed)


def entries(kind: str, configs: Path = CONFIGS) -> list[dict[str, Any]]:
    """Everything of one kind.

    Args:
        kind: one of `KINDS`.
        configs: folder of the configs; by default also those that come with the package.

    Returns:
        For each its `name` and `description`; for a class its `class_path`, `settings` and the `kinds` of task it
        serves; for a balancing method its `family`, its `paper`, what the paper gives the heads
        (`head_gradients`) and, if it sees gradients, where they can be taken (`at`); for an architecture what it
        costs (`cost`), as a multiple of hard sharing.
    """
    if kind == "configs":
        files = sorted(path for path in configs.rglob("*.y*ml") if path.is_file())
        if configs == CONFIGS:  # then those that come with the package and have no copy here, by the name to type
            files += [path for name in shipped_names() if not (path := CONFIGS / name).exists()]
        return [{"name": str(file), "description": _first_comment(own_or_shipped(file))} for file in files]
    return [_entry(cls) for cls in _classes(kind)]


def _classes(kind: str) -> Iterator[type]:
    module, name = BASES[kind]
    base: type = getattr(importlib.import_module(module), name)
    cls: type
    for cls in concrete_subclasses(base):
        if cls.__module__.startswith("mtl.") or is_of_a_paper(cls.__module__):
            yield cls


def _entry(cls: type) -> dict[str, Any]:
    doc = inspect.getdoc(cls) or ""
    entry: dict[str, Any] = {
        "name": cls.__name__,
        "description": doc.split("\n\n")[0].replace("\n", " "),
        "class_path": f"{cls.__module__}.{cls.__name__}",
        "settings": {name: describe(annotation) for name, annotation in parameters(cls).items()},
    }
    if issubclass(cls, Method):
        entry |= _conventions(cls)
    if issubclass(cls, Architecture):
        entry["cost"] = cost_of(cls)
    kinds = getattr(cls, "kinds", None) or ([cls.kind] if hasattr(cls, "kind") else None)
    return {**entry, "kinds": list(kinds)} if kinds else entry


def _conventions(cls: type[Method]) -> dict[str, Any]:
    family = next(name for base, name in FAMILIES.items() if issubclass(cls, base))
    seen: dict[str, Any] = {} if issubclass(cls, LossWeighting) else {"at": list(cls.at)}
    return {"family": family, "paper": cls.paper, **seen, "head_gradients": cls.head_gradients}


def _one(kind: str, name: str, listed: list[dict[str, Any]]) -> dict[str, Any]:
    for entry in listed:
        if name in (entry["name"], entry["name"].removeprefix("configs/"), entry.get("class_path")):
            return entry
    known = [entry["name"] for entry in listed]
    raise ConfigError(
        f"there is no {name!r} in {kind}.{did_you_mean(name, known)} There are {', '.join(known) or 'none'}."
    )


def _show(console: Console, kind: str, listed: list[dict[str, Any]]) -> None:
    console.print(Text(kind, style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for entry in listed:
        words = [*entry.get("kinds", []), *([entry["family"]] if "family" in entry else [])]
        words += _costs(entry["cost"]) if entry.get("cost") else []
        package = entry.get("class_path", "mtl").split(".")[0]
        words += [] if package == "mtl" else [f"from {package}"]
        table.add_row(
            Text(f"  {entry['name']}"), Text(entry["description"] + (f" ({', '.join(words)})" if words else ""))
        )
    console.print(table if listed else Text("  none yet"))
    console.print()


def _costs(cost: dict[str, float]) -> list[str]:
    counted = {"parameters": "parameters", "flops": "operations"}
    return [
        f"{cost[key]:.2g} x {word}, {cost[f'{key}_alone']:.2g} x for a task alone"
        for key, word in counted.items()
        if key in cost
    ]


def _show_one(console: Console, entry: dict[str, Any]) -> None:
    console.print(Text(entry.get("class_path", entry["name"]), style="bold"))
    if "class_path" not in entry:
        console.print(Text(_text(own_or_shipped(Path(entry["name"])))))
        return
    module, _, name = entry["class_path"].rpartition(".")
    console.print(Text(inspect.getdoc(getattr(importlib.import_module(module), name)) or ""))


def _first_comment(file: Path) -> str:
    """The first sentence of the comment that a config begins with."""
    words = []
    for line in _text(file).splitlines():
        if line.startswith("# yaml-language-server:"):
            continue
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# ").strip())
    return printable(" ".join(words).split(". ")[0].rstrip("."))


def _text(file: Path) -> str:
    return read_small(file, MOST_BYTES, follow=True).decode("utf-8", errors="replace")
