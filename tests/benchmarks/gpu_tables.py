"""The rows of a GPU run as Markdown tables, for `tests/benchmarks/README.md`.

Run: python tests/benchmarks/gpu_tables.py runs/gpu/rows.jsonl runs/gpu/balancing.jsonl > runs/gpu/tables.md
Needs no package, so it works beside any run, also one that was stopped.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
# part -> heading, and the columns: name, key, decimals
COLUMNS: dict[str, tuple[str, list[tuple[str, str, int]]]] = {
    "script": (
        "Parts", [("part", "name", 0), ("exit code", "rc", 0), ("seconds", "seconds", 0), ("limit, s", "limit", 0)],
    ),
    "loop": (
        "`fit` beside a loop by hand",
        [("network", "case", 0), ("loop", "loop", 0), ("steps/s", "steps_per_s", 1), ("ms/step", "ms", 2),
         ("time x hand", "time_x_hand", 3), ("GPU busy, ms", "busy_ms", 2), ("GPU idle", "idle_share", 3)],
    ),
    "kernels": (
        "Largest kernels of a step",
        [("network", "case", 0), ("step", "step", 0), ("", "rank", 0), ("kernel", "kernel", 0), ("ms/step", "ms", 3),
         ("calls", "calls", 1), ("share", "share", 3)],
    ),
    "compile": (
        "Compilation",
        [("network", "case", 0), ("step", "step", 0), ("eager ms", "eager_ms", 2), ("compiled ms", "compiled_ms", 2),
         ("ratio", "ratio", 3), ("first step, s", "first_step_s", 1)],
    ),
    "detection": (
        "Detection and classification",
        [("step", "step", 0), ("px", "side_px", 0), ("batch", "batch", 0), ("ms/step", "ms", 1),
         ("images/s", "images_per_s", 1), ("time x plain", "time_x_plain", 3), ("peak MB", "peak_mb", 0)],
    ),
    "predict": (
        "Prediction",
        [("what", "what", 0), ("px", "side_px", 0), ("batch", "batch", 0), ("images/s", "images_per_s", 1),
         ("share of decoding", "decode_share", 2)],
    ),
    "metric": (
        "mAP metric",
        [("images", "images", 0), ("detections", "detections_per_image", 0), ("classes", "classes", 0),
         ("update s", "update_s", 2), ("compute s", "compute_s", 2)],
    ),
    "digits": (
        "Quick start",
        [("what", "what", 0), ("step", "step", 0), ("mAP50", "map50", 3), ("seconds", "seconds", 1),
         ("test mAP50", "test/boxes/map50", 3), ("test accuracy", "test/largest/accuracy", 3)],
    ),
}  # fmt: skip


def read(paths: Iterable[Path]) -> list[Row]:
    """All rows; a line that a stop has cut is left out.

    Args:
        paths: files of rows; one that does not exist has none.
    """
    rows = []
    for path in paths:
        for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                print(f"left out: {line[:80]}", file=sys.stderr)
    return rows


def table(rows: list[Row], columns: list[tuple[str, str, int]]) -> list[str]:
    """Lines of a Markdown table.

    Args:
        rows: the rows.
        columns: name, key and decimals of each column; one that no row has is left out.
    """
    columns = [column for column in columns if any(row.get(column[1]) is not None for row in rows)]
    lines = ["| " + " | ".join(name for name, _, _ in columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_cell(row.get(key), digits) for _, key, digits in columns) + " |" for row in rows]


def balancing(rows: list[Row]) -> list[str]:
    """Time and memory of every method as multiples of the plain step, one column for each K.

    Args:
        rows: what `balancing.py` wrote.
    """
    lines = []
    for arch in dict.fromkeys(row["arch"] for row in rows):
        own = [row for row in rows if row["arch"] == arch and row["every"] == 1]
        tasks = sorted({row["K"] for row in own})
        shown: list[tuple[str, Callable[[Row], float]]] = [
            ("time x plain step", lambda row: row["wall_ratio"]),
            ("peak memory x plain step", lambda row: row["peak_memory_ratio"]),
        ]
        for title, value in shown:
            cells: dict[tuple[str, str], Row] = {}
            for row in own:
                key = row["method"], row["at"]
                cells.setdefault(key, {"method": key[0], "at": key[1]})[str(row["K"])] = value(row)
            heads = [("method", "method", 0), ("at", "at", 0), *((f"K = {k}", str(k), 2) for k in tasks)]
            lines += ["", f"### Balancing, {arch}: {title}", "", *table(list(cells.values()), heads)]
        plain = [{"K": row["K"], "ms": row["plain_ms"], "rounds": row["rounds"]} for row in own if "plain_ms" in row]
        lines += ["", "Plain step:", "", *table(plain, [("K", "K", 0), ("ms", "ms", 1), ("rounds", "rounds", 0)])]
    return lines


def tests(rows: list[Row]) -> list[str]:
    """How many tests ended how, and the names of those that failed.

    Args:
        rows: of the tests.
    """
    counts = {name: sum(row["outcome"] == name for row in rows) for name in ("passed", "failed", "skipped")}
    lines = ["", "### Tests", "", ", ".join(f"{number} {name}" for name, number in counts.items()) + "."]
    return lines + [f"* failed: `{row['test']}`" for row in rows if row["outcome"] == "failed"]


def render(rows: list[Row]) -> str:
    """The whole text.

    Args:
        rows: of all parts.
    """
    cards = dict.fromkeys(f"{row['device']}, torch {row['torch']}" for row in rows if "torch" in row)
    lines = [f"Card: {'; '.join(cards) or 'unknown'}."]
    if any(row.get("rehearsal") for row in rows):
        lines += ["", "**A rehearsal with tiny sizes on a CPU: its times mean nothing.**"]
    of_part = {part: [row for row in rows if row.get("part") == part] for part in COLUMNS}
    if tested := [row for row in rows if row.get("part") == "tests"]:
        lines += tests(tested)
    if balanced := [row for row in rows if "part" not in row]:
        lines += balancing(balanced)
    for part, (heading, columns) in COLUMNS.items():
        if good := [row for row in of_part[part] if "error" not in row]:
            lines += ["", f"### {heading}", "", *table(good, columns)]
        lines += [f"* failed: {row['part']}, {row['error']}" for row in of_part[part] if "error" in row]
    return "\n".join(lines) + "\n"


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return ""
    text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render(read(map(Path, sys.argv[1:]))))
