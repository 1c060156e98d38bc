"""`python -m mtl report`: the table and page of a comparison, the page of a run, or a table of any rows of runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mtl.cli.plot import add_format_flag
from mtl.cli.queue.tables_to_wandb import add_wandb_flag, tables_to_wandb
from mtl.config.foreign_files import own_folder
from mtl.evaluation.tables.device_pictures import draw_devices
from mtl.evaluation.tables.devices import on_devices, table_of_devices, write_devices
from mtl.evaluation.tables.fronts import fronts, table_of_fronts
from mtl.evaluation.tables.html_page import write_page_of_run
from mtl.evaluation.tables.published import beside_published, read_published
from mtl.evaluation.tables.report import read_report
from mtl.evaluation.tables.report_files import markdown, write_report


def report(arguments: list[str]) -> None:
    """Write the report of a comparison again, or print a table of chosen rows.

    Args:
        arguments: what follows `report`.

    Raises:
        ValueError: if there is no such row or metric, or nothing to report.
    """
    parser = argparse.ArgumentParser(
        "mtl report",
        description="The table of a comparison, or of any experiments, from their run folders.",
        epilog="examples: python -m mtl report --runs runs/compare/digits --format pdf; "
        "python -m mtl report --run runs/digits/short",
    )
    parser.add_argument("--runs", type=Path, help="folder of the rows: runs/compare/<name>, or runs")
    parser.add_argument("--run", type=Path, help="one run: write its report.html, a page that needs no other file")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="print the table of these experiments, write no file")
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="with --rows: columns, as boxes/map50")
    fronts_help = "fronts and hypervolumes of the rows of a comparison whose names begin so, such as COSMOS Fixed"
    parser.add_argument("--fronts", nargs="+", metavar="NAME", help=fronts_help)
    devices_help = "export the rows of a comparison to ONNX: bytes and time of each beside its metrics, and a picture"
    parser.add_argument("--devices", action="store_true", help=devices_help)
    parser.add_argument("--allow", help="with --devices: module that checkpoints may import beside mtl, torch, ...")
    parser.add_argument("--published", metavar="TABLE", help="also show the rows in a table of configs/published")
    add_wandb_flag(parser)
    add_format_flag(parser)
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    if (options.run is None) == (options.runs is None):
        parser.error("give --runs FOLDER for a comparison, or --run RUN for the page of one run")
    if options.run is not None:
        others = (options.rows, options.metrics, options.fronts, options.published, options.devices)
        if any(others) or options.wandb != "off":
            parser.error("--run writes the page of one run; all other options go with --runs")
        own_folder(options.run)
        console.print(f"written: {write_page_of_run(options.run)}", soft_wrap=True)
        return
    table = read_published(options.published) if options.published else None
    if not options.rows:
        if options.metrics:
            parser.error("--metrics needs --rows; the report of a comparison shows what its tasks are judged by")
        if options.devices:  # before the page is written, which holds its picture
            _write_devices(console, options.runs, options.allow.split(",") if options.allow else ())
        write_comparison(console, options.runs, options.wandb)
        if options.fronts:
            text = table_of_fronts(fronts(read_report(options.runs), options.fronts))
            (options.runs / "fronts.md").write_text(text + "\n", encoding="utf-8")
            console.print(text, markup=False, soft_wrap=True)
        if table is not None:
            text = beside_published(read_report(options.runs), table)
            (options.runs / "published.md").write_text(text + "\n", encoding="utf-8")
            console.print(text, markup=False, soft_wrap=True)
        return
    if options.fronts or options.devices:
        parser.error("--fronts and --devices are of a comparison; leave out --rows")
    if options.wandb != "off":
        parser.error("--rows writes no file that could go to W&B; leave out --wandb")
    found = read_report(options.runs, options.rows)
    text = markdown(found, options.metrics) if table is None else beside_published(found, table)
    # not wrapped: it is pasted into a README
    console.print(text, markup=False, soft_wrap=True)


def _write_devices(console: Console, root: Path, allow: Sequence[str]) -> None:
    own_folder(root)
    known = read_report(root)
    metrics = [metric for metric in known.metrics if metric.monitored]
    found = on_devices(known, root, allow)
    text = table_of_devices(found, metrics)
    write_devices(found, root / "devices.csv")
    (root / "devices.md").write_text(text + "\n", encoding="utf-8")
    draw_devices(found, metrics, root / "devices.png")
    console.print(text + "\n", markup=False, soft_wrap=True)


def write_comparison(console: Console, root: Path, wandb: str) -> None:
    """Write and print the report of a comparison; with variants one for each, and all their tables in `report.md`.

    Args:
        console: where the tables are printed.
        root: folder of the comparison.
        wandb: mode of Weights & Biases, `off` for none.

    Raises:
        UnsafeFile: if what is written into the folder would land elsewhere.
        ValueError: if there is nothing to report.
    """
    own_folder(root)
    variants = sorted({path.parents[2] for path in root.glob("*/*/seed*/results.json")})
    sections = []
    for folder in variants or [root]:
        found = read_report(folder)
        files = write_report(found, folder)
        sections.append(f"## {folder.name}\n\n{markdown(found)}" if variants else markdown(found))
        # not wrapped: it is pasted into a README
        console.print(sections[-1], markup=False, soft_wrap=True)
        console.print(f"\n{', '.join(file.name for file in files)} in {folder}\n", soft_wrap=True)
        tables_to_wandb(wandb, folder, folder.name, files)
    if variants:
        (root / "report.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
