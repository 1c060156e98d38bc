"""`report.html`: one self-contained page of a run or a comparison. No script, and nothing that a browser would fetch.

Sections without files are left out. Every text is escaped, since names and configs may be anybody's.
"""

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mtl.config.foreign_files import UnsafeFile, read_small
from mtl.errors import printable
from mtl.evaluation.tables.export_table import export_table, skipped
from mtl.evaluation.tables.report import read_results
from mtl.evaluation.tables.results_of_run import Results, costs, metrics_by_part

PAGE = "report.html"
_MOST_BYTES, _MOST_PICTURES, _MOST_ROWS = 8_000_000, 40, 200
_LETTERS = 200_000  # of a text file
# the browser itself refuses everything that is not in the page
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d8dee4; }
table { border-collapse: collapse; margin: .6rem 0; display: block; overflow-x: auto; }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #eaeef2; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; } th { font-weight: 600; }
.side { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; align-items: flex-start; } .side > * { max-width: 100%; }
figure { margin: .5rem 0; } figcaption { color: #59636e; } img { max-width: 100%; max-height: 40rem; height: auto; }
pre { background: #f6f8fa; padding: .8rem; overflow-x: auto; font-size: 13px; }
@media (prefers-color-scheme: dark) { body { background: #fff; } }
"""


def write_page_of_run(run: Path) -> Path:
    """Write `report.html` into a run: results, cost, curves, pictures, explanation, exported files, config.

    Args:
        run: folder of the run.

    Raises:
        FileNotFoundError: if the folder is no run.
    """
    if not (run / "config.yaml").is_file():
        raise FileNotFoundError(f"{str(run)!r} holds no config.yaml; --run takes the folder of a run.")
    results = _results(run)
    meta = results.get("meta", {})
    name = f"{meta.get('experiment', run.resolve().parent.name)} / {meta.get('name', run.resolve().name)}"
    parts = [_section("Results", _side(_metrics(*part) for part in metrics_by_part(results)))]
    parts.append(_section("Cost", table(["", ""], costs(meta))))
    pictures = sorted((run / "pictures").glob("*.png"), key=lambda path: (path.stem != "curves", path.stem))
    curves = [path for path in pictures if path.stem == "curves"]
    parts.append(_section("Curves", _figures(curves)))
    parts.append(_section("Pictures", _figures(path for path in pictures if path not in curves)))
    for title, folder in (("What the tasks share", "explanation"), ("Affinity of the tasks", "affinity")):
        files = sorted((run / folder).glob("*.png"))
        parts.append(_section(title, _figures(files) + _csv_tables(sorted((run / folder).glob("*.csv")))))
    parts.append(_section("Exported files", _export(_json(run / "export" / "export.json"))))
    command, config = (_text(run / file) for file in ("command.txt", "config.yaml"))
    parts.append(_section("Command", f"<pre>{escape(command)}</pre>" if command else ""))
    parts.append(_section("Config", _details("config.yaml", f"<pre>{escape(config)}</pre>")))
    return _write(run / PAGE, f"Run {name}", parts)


def write_page_of_comparison(folder: Path, head: Sequence[str], rows: Sequence[Sequence[str]], legend: str) -> Path:
    """Write `report.html` into a comparison: its table, what the columns mean, and its pictures.

    Args:
        folder: of the comparison.
        head: names of the columns.
        rows: cells.
        legend: what the columns mean.
    """
    known = ("tasks.png", "delta_m.png", "devices.png")
    pictures = [folder / name for name in known if (folder / name).is_file()]
    parts = [
        _section("Table", table(head, rows) + f"<p>{escape(legend)}</p>"),
        _section("Pictures", _figures(pictures)),
    ]
    runs = [path.parent for path in sorted(folder.glob("*/seed*/results.json"))]
    cost = [
        [f"{run.parent.name} {run.name}", *(cell for _, cell in costs(_results(run).get("meta", {})))] for run in runs
    ]
    heads = ["run", *(name for name, _ in costs({}))]
    parts.append(_section("Cost of each run", _details(f"{len(runs)} runs", table(heads, cost)) if runs else ""))
    configs = sorted(folder.glob("*/seed*/config.yaml"))[:_MOST_PICTURES]
    shown = (_details(f"{path.parts[-3]} {path.parts[-2]}", f"<pre>{escape(_text(path))}</pre>") for path in configs)
    parts.append(_section("Configs", "".join(shown)))
    return _write(folder / PAGE, f"Comparison {folder.resolve().name}", parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as HTML, escaped; empty without rows.

    Args:
        head: names of the columns.
        rows: cells.
    """
    lines = ["".join(f"<td>{escape(printable(str(cell)))}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    titles = "".join(f"<th>{escape(printable(str(cell)))}</th>" for cell in head)
    above = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table>{above}<tbody>\n{body}</tbody></table>"


def _metrics(part: str, whole: Sequence[Sequence[str]], classes: Sequence[Sequence[str]]) -> str:
    more = _details(f"{part}: single classes", table(["metric", "value"], classes)) if classes else ""
    return table([part, "value"], whole) + more


def _export(known: Mapping[str, Any]) -> str:
    head, rows = export_table(known)
    return table(head, rows) + "".join(f"<p>left out: {escape(printable(line))}</p>" for line in skipped(known))


def _csv_tables(files: Iterable[Path]) -> str:
    shown = []
    for path in files:
        head, *rows = list(csv.reader(io.StringIO(_text(path)))) or [[]]
        if rows:
            more = f" (the first {_MOST_ROWS} of {len(rows)} rows)" if len(rows) > _MOST_ROWS else ""
            shown.append(_details(path.stem + more, table(head, rows[:_MOST_ROWS])))
    return "".join(shown)


def _figures(files: Iterable[Path]) -> str:
    shown = []
    for path in list(files)[:_MOST_PICTURES]:
        try:
            content = base64.b64encode(read_small(path, _MOST_BYTES)).decode("ascii")
        except (OSError, UnsafeFile):
            shown.append(f"<p>{escape(path.name)} cannot be shown: no picture file of at most 8 MB.</p>")
            continue
        name = escape(path.stem.replace("_", " "))
        shown.append(
            f'<figure><img alt="{name}" src="data:image/png;base64,{content}"><figcaption>{name}</figcaption></figure>'
        )
    return _side(shown)


def _side(parts: Iterable[str]) -> str:
    """Parts side by side, as many as fit."""
    inside = "".join(f"<div>{part}</div>" for part in parts)
    return f'<div class="side">{inside}</div>' if inside else ""


def _details(title: str, content: str) -> str:
    return f"<details><summary>{escape(printable(title))}</summary>{content}</details>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _write(path: Path, title: str, parts: Sequence[str]) -> Path:
    title = escape(printable(title))
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
    )
    body = "\n".join(part for part in parts if part)
    path.write_text(f"{head}<body><h1>{title}</h1>\n{body}\n</body></html>\n", encoding="utf-8")
    return path


def _text(path: Path) -> str:
    try:
        return read_small(path, _LETTERS).decode("utf-8", errors="replace")
    except (OSError, UnsafeFile):
        return ""


def _results(run: Path) -> Results:
    try:
        return read_results(run / "results.json")
    except (OSError, ValueError):  # not tested yet, or damaged: the report names those
        return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(read_small(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
