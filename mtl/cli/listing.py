"""`python -m mtl list`: what there is to choose from. Found by looking, so a new file shows up by itself."""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import nn

from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.config.papers import is_of_a_paper
from mtl.config.schema import describe, parameters
from mtl.config.yaml_lines import ConfigError
from mtl.discovery import concrete_subclasses, defined_in
from mtl.errors import did_you_mean

PACKAGES = {
    "heads": "mtl.heads",
    "methods": "mtl.balancing",
    "schedules": "mtl.scheduling",
    "backbones": "mtl.backbones",
    "architectures": "mtl.architectures",
    "data": "mtl.data",
    "affinity": "mtl.affinity",
    "callbacks": "mtl.callbacks",
}
KINDS = (*PACKAGES, "configs")
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
    parser = argparse.ArgumentParser("mtl list", description="What there is to choose from.", allow_abbrev=False)
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(KINDS)}; all by default")
    parser.add_argument("name", nargs="?", help="one class: show its settings")
    parser.add_argument("--json", action="store_true", help="for programs: name, description, class_path, settings")
    parser.add_argument("--configs", default="configs", help="folder of the configs [configs]")
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


def entries(kind: str, configs: Path = Path("configs")) -> list[dict[str, Any]]:
    """Everything of one kind.

    Args:
        kind: one of `KINDS`.
        configs: folder of the configs.

    Returns:
        For each its `name` and `description`; for a class its `class_path`, `settings` and the `kinds` of task it
        serves; for a balancing method its `family`, its `paper`, what the paper gives the heads
        (`head_gradients`) and, if it sees gradients, where they can be taken (`at`).
    """
    if kind == "configs":
        files = sorted(configs.rglob("*.y*ml"))
        return [{"name": str(file), "description": _first_comment(file)} for file in files]
    return [_entry(cls) for cls in _classes(PACKAGES[kind])]


def _classes(package: str) -> Iterator[type]:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        return
    own = list(defined_in(name for name in sys.modules if name.startswith(f"{package}.")))
    bases = [cls for cls in own if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False)]
    if bases:
        found = {cls for base in bases for cls in concrete_subclasses(base)}
    else:  # a package without a base class of its own
        of_papers = defined_in(filter(is_of_a_paper, sys.modules))
        found = {cls for cls in own if issubclass(cls, Callback | nn.Module)}
        found |= {cls for cls in of_papers if issubclass(cls, Callback)}
    yield from sorted(found, key=lambda cls: (cls.__name__, cls.__module__))


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
    kinds = getattr(cls, "kinds", None)
    return {**entry, "kinds": list(kinds)} if kinds else entry


def _conventions(cls: type[Method]) -> dict[str, Any]:
    family = next(name for base, name in FAMILIES.items() if issubclass(cls, base))
    seen: dict[str, Any] = {} if issubclass(cls, LossWeighting) else {"at": list(cls.at)}
    return {"family": family, "paper": cls.paper, **seen, "head_gradients": cls.head_gradients}


def _one(kind: str, name: str, listed: list[dict[str, Any]]) -> dict[str, Any]:
    for entry in listed:
        if name in (entry["name"], entry.get("class_path")):
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
        package = entry.get("class_path", "mtl").split(".")[0]
        words += [] if package == "mtl" else [f"from {package}"]
        table.add_row(
            Text(f"  {entry['name']}"), Text(entry["description"] + (f" ({', '.join(words)})" if words else ""))
        )
    console.print(table if listed else Text("  none yet"))
    console.print()


def _show_one(console: Console, entry: dict[str, Any]) -> None:
    console.print(Text(entry.get("class_path", entry["name"]), style="bold"))
    if "class_path" not in entry:
        console.print(Text(Path(entry["name"]).read_text(encoding="utf-8")))
        return
    module, _, name = entry["class_path"].rpartition(".")
    console.print(Text(inspect.getdoc(getattr(importlib.import_module(module), name)) or ""))


def _first_comment(file: Path) -> str:
    """The first sentence of the comment that a config begins with."""
    words = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# ").strip())
    return " ".join(words).split(". ")[0].rstrip(".")
