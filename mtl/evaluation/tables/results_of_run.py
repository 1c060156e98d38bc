"""What `results.json` of one run says, as rows for a table: metrics by task, and what the run cost."""

from collections.abc import Mapping
from typing import Any

Results = Mapping[str, Any]
Part = tuple[str, list[tuple[str, str]], list[tuple[str, str]]]  # title, whole metrics, metrics of single classes


def metrics_by_part(results: Results) -> list[Part]:
    """Metrics of the test set (or validation) by task: of the whole task and of single classes.

    Args:
        results: what `results.json` holds.
    """
    tasks = list(results.get("meta", {}).get("tasks", {}))
    found: dict[str, Part] = {}
    for key, value in results.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        stage, _, rest = key.partition("/")
        # `loss/<task>`, `<task>/<metric>` or `<task>/<metric>/<class>`
        name = max((t for t in tasks if rest.startswith(f"{t}/") or rest == f"loss/{t}"), key=len, default="")
        metric = "loss" if rest.startswith("loss/") else rest.removeprefix(f"{name}/")
        title = f"{stage}: {name}" if name else stage
        part = found.setdefault(title, (title, [], []))
        part[2 if "/" in metric else 1].append((metric, f"{value:.4f}"))  # type: ignore[union-attr]
    return list(found.values())


def costs(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Steps, time, memory and parameters of a run; empty cells for what it does not say.

    Args:
        meta: the entry `meta` of its results.
    """
    seconds, steps = meta.get("train_seconds"), meta.get("steps")
    each = 1000 * float(seconds or 0) / steps if _is_number(seconds) and _is_number(steps) and steps else None
    return [
        ("steps", _shown(steps, "{:,.0f}")),
        ("seconds of training", _shown(seconds, "{:,.1f}")),
        ("ms a step", _shown(each, "{:,.1f}")),
        ("most memory, MB", _shown(meta.get("peak_memory_mb"), "{:,.0f}")),
        ("parameters", _shown(meta.get("num_parameters"), "{:,.0f}")),
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any, form: str) -> str:
    return form.format(value) if _is_number(value) else ""
