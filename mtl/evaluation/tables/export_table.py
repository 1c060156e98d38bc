"""The table of an `export.json`: the model and its files side by side."""

from collections.abc import Mapping
from typing import Any

Rows = list[list[str]]


def export_table(known: Mapping[str, Any]) -> tuple[list[str], Rows]:
    """Names of the columns, and rows of as many cells.

    Args:
        known: what `export.json` holds; entries may be missing.
    """
    files = known.get("files")
    if not isinstance(files, dict) or not files:
        return [], []
    times, memory, measured = (_tables(known.get(name)) for name in ("latency", "memory", "metrics"))
    there = [*files, *(name for of in times.values() for name in of), *memory]
    names = ["eager", *(["compile"] if "compile" in there else []), *files]
    rows = [["bytes", *(_bytes(files.get(name)) for name in names)]]
    rows.append(["largest difference", *(_gap(files.get(name)) for name in names)])
    met = {name: one.get("parity", {}).get("boxes_met") for name, one in files.items()}
    if any(value is not None for value in met.values()):
        rows.append(["boxes met, %", *("" if met.get(n) is None else f"{100 * met[n]:.1f}" for n in names)])
    for size, of in times.items():
        rows.append([f"ms, batch {size}: p50", *(_time(of.get(name)) for name in names)])
        rows.append([f"ms, batch {size}: p95", *(f"{of[name]['p95_ms']:.2f}" if name in of else "" for name in names)])
    if memory:
        rows.append(["MB for the model", *(_memory(memory.get(name), own=True) for name in names)])
        rows.append(["MB of its process", *(_memory(memory.get(name), own=False) for name in names)])
    for key in measured.get("eager", {}):
        rows.append([key, *(f"{measured[n][key]:.4f}" if key in measured.get(n, {}) else "" for n in names)])
    return ["", *names], rows


def skipped(known: Mapping[str, Any]) -> list[str]:
    """What was not written or not measured, and why.

    Args:
        known: what `export.json` holds.
    """
    found = known.get("skipped")
    return [f"{what}: {why}" for what, why in found.items()] if isinstance(found, dict) else []


def _tables(found: Any) -> dict[str, Any]:
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}


def _bytes(file: Mapping[str, Any] | None) -> str:
    return "" if file is None else f"{file.get('bytes', 0):,}"


def _gap(file: Mapping[str, Any] | None) -> str:
    if file is None:
        return ""
    gap = file.get("parity", {}).get("largest_difference")
    return "other scores" if gap is None else f"{gap:.2g}"


def _time(one: Mapping[str, float] | None) -> str:
    if one is None:
        return ""
    return f"{one['p50_ms']:.2f} ({one['x_first']:.2f} x)" if "x_first" in one else f"{one['p50_ms']:.2f}"


def _memory(one: Mapping[str, float] | None, own: bool) -> str:
    if one is None:
        return ""
    return f"{one['peak_mb'] - one['before_mb'] if own else one['peak_mb']:.0f}"
