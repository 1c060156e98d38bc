"""Imports run one way: a module imports lower ranks only, and the ranks are those of the design."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "mtl").rglob("*.py"))
}
RANKS = {
    0: {"task", "features", "errors", "discovery", "distributed", "config"},
    1: {"functional", "inputs", "targets", "batch", "balancing", "scheduling"},
    2: {"metrics", "runs", "drawing", "backbones", "architectures", "data"},
    3: {"heads"},
    4: {"model"},
    5: {"module", "optim", "export"},
    6: {"evaluation", "affinity"},
    7: {"callbacks", "experiments"},
    8: {"cli", "__main__"},
}
RANK = {part: rank for rank, parts in RANKS.items() for part in parts}
STRANGERS = {frozenset({"heads", "data"})}  # of one rank, and must not know each other
WITHOUT_LIGHTNING = ["mtl.model", "mtl.heads", "mtl.backbones", "mtl.metrics", "mtl.functional", "mtl.batch"]


def part(module: str) -> str:
    """`mtl.heads.detection.centernet` belongs to the part `heads`."""
    return module.split(".")[1] if "." in module else ""


def imported(module: str, source: str, is_package: bool = False) -> set[str]:
    """Dotted names of everything of `mtl` that a module imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level + is_package or None]
                base = ".".join([*parents, base] if base else parents)
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "mtl" else {base}
    return {name for name in found if name == "mtl" or name.startswith("mtl.")}


def faults(module: str, names: set[str]) -> list[str]:
    """What is wrong with importing these names from this module."""
    here, wrong = part(module), []
    for name in sorted(names):
        there = part(name)
        if there == here or there not in RANK:  # `from mtl import __version__` is nobody's rank
            continue
        if there == "cli" and here != "__main__":
            wrong.append(f"{module} imports {name}: nothing imports cli")
        elif frozenset({here, there}) in STRANGERS:
            wrong.append(f"{module} imports {name}: {here} and {there} never import each other")
        elif RANK[there] > RANK[here]:
            wrong.append(f"{module} (rank {RANK[here]}) imports {name} (rank {RANK[there]})")
    return wrong


@pytest.mark.parametrize("module", [name for name in MODULES if name != "mtl"])
def test_module_has_a_rank_and_imports_lower_ranks_only(module: str) -> None:
    assert part(module) in RANK, f"{module} belongs to no rank; a new part of mtl changes the design first"
    path = MODULES[module]
    assert not faults(module, imported(module, path.read_text("utf-8"), path.name == "__init__.py"))


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("mtl.heads.detection.centernet", "from mtl.model import MultiTaskModel", "rank 3.*rank 4"),
        ("mtl.heads.detection.centernet", "def late():\n    import mtl.data.module", "never import each other"),
        ("mtl.data.module", "from ..heads import head", "never import each other"),
        ("mtl.evaluation.tables.report", "from mtl.cli.main import main", "nothing imports cli"),
        ("mtl.task", "from mtl import metrics", "rank 0.*rank 2"),
    ],
)
def test_the_walk_sees_a_forbidden_import(module: str, source: str, message: str) -> None:
    (fault,) = faults(module, imported(module, source))
    assert re.search(message, fault)


def test_the_walk_allows_an_import_within_a_package_and_downwards() -> None:
    source = (
        "from mtl.heads.head import Head\nfrom . import fcos\nfrom mtl.task import Task\nfrom mtl import __version__"
    )
    assert imported("mtl.heads.detection.centernet", source) >= {"mtl.heads.head", "mtl.heads.detection", "mtl.task"}
    assert not faults("mtl.heads.detection.centernet", imported("mtl.heads.detection.centernet", source))


def test_the_model_and_its_parts_import_without_lightning() -> None:
    code = f"""
import importlib, sys
for name in ("lightning", "pytorch_lightning", "lightning_fabric"):
    sys.modules[name] = None  # makes every import of it fail
for name in {WITHOUT_LIGHTNING}:
    importlib.import_module(name)
for package in ("mtl.heads", "mtl.backbones", "mtl.metrics"):
    import pkgutil
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{{package}}.{{module.name}}")
print("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "imported\n", done.stderr
