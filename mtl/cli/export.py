"""`python -m mtl export`: a trained model as one ONNX or PyTorch file, checked against the run it came from.

Example: python -m mtl export --run runs/digits/NAME --quantize int8 --benchmark
"""

import argparse
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mtl.batch import Batch
from mtl.config.foreign_files import read_small
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.data.module import JointDataModule
from mtl.evaluation import exported
from mtl.evaluation.build import build_data
from mtl.evaluation.export_costs import compiled, memory
from mtl.evaluation.load import load_checkpoint
from mtl.evaluation.tables.export_table import export_table, skipped
from mtl.export.exportable import ExportableModel
from mtl.export.file_model import FileModel
from mtl.export.infer import programs_for
from mtl.export.onnx_file import OnnxModel, require_onnx, without_scopes, write_onnx
from mtl.export.pt2_file import Pt2Model, write_pt2
from mtl.export.quantize import quantize
from mtl.runs.checkpoint_files import find_checkpoint

COMPARED = 64  # samples whose outputs are compared
MEASURED = 1000  # test samples that metrics are computed on, by the model and by every file
WORTH = 0.8  # an int8 file that is larger than this share of the float file has no use


def export(arguments: list[str]) -> None:
    """Write `export/model.onnx` with `infer.py`, or `model.pt2` and `export.json` into the run, and show a table.

    Args:
        arguments: what follows `export`.

    Raises:
        ConfigError: if the run has no config, or options do not fit each other.
        FileNotFoundError: if the run or its checkpoint is missing.
    """
    options = _parser().parse_args(arguments)
    if options.quantize and (options.format != "onnx" or options.output != "decoded"):
        raise ConfigError("--quantize works with --format onnx and --output decoded; leave one of them out.")
    if options.dynamic == "size" and options.resize_inside:
        raise ConfigError("--resize-inside brings every image to one size, so --dynamic size has no effect; keep one.")
    if options.samples < 1:
        raise ConfigError(f"--samples {options.samples} must be at least 1: test samples that metrics are computed on.")
    if options.max_length is not None and options.max_length < 1:
        raise ConfigError(f"--max-length {options.max_length} must be at least 1 step.")
    if options.format == "onnx":
        require_onnx()
    allow_imports(options.allow.split(",") if options.allow else ())
    run: Path = options.run
    checkpoint = find_checkpoint(run, options.checkpoint)
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"run {str(run)!r} has no config.yaml, which says what its data are.")
    config = read_config([run / "config.yaml"])
    data = build_data(config)
    model = load_checkpoint(checkpoint).model
    data.setup("test")
    size, how = exported.image_size(data, config, model)
    how |= exported.missing_cells(data)
    ready = ExportableModel(
        model,
        options.tasks.split(",") if options.tasks else None,
        options.output,
        size,
        options.resize_inside,
        exported.float_images(data, model),
    )
    folder: Path = options.to or run / "export"
    folder.mkdir(parents=True, exist_ok=True)
    description = exported.describe(ready, run.resolve().name, commit=_commit(run), **how)
    console = Console(highlight=False)
    path = folder / f"model.{options.format}"
    write = write_onnx if options.format == "onnx" else write_pt2
    lengths = exported.longest(ready, data.test_dataloader(), options.samples)
    if options.max_length is not None:
        lengths = dict.fromkeys(lengths, options.max_length)
    write(ready, path, options.dynamic == "size", description, lengths)
    files, beside = {options.format: path}, ["export.json"]
    if options.quantize:
        files["int8"] = folder / "model.int8.onnx"
        data.setup("fit")
        quantize(path, files["int8"], _calibration(data, ready, options.calibrate))
    if options.format == "onnx":
        for file in files.values():
            without_scopes(file)
        programs = programs_for(description["inputs"])
        for place, program in enumerate(programs):
            beside.append(program.name if place else "infer.py")
            shutil.copyfile(program, folder / beside[-1])
    left_out: dict[str, str] = {}
    if "int8" in files and files["int8"].stat().st_size > WORTH * path.stat().st_size:
        left_out["int8"] = (
            "weights of embeddings and recurrent layers stay float, and they are nearly all of this network: "
            f"{files['int8'].stat().st_size:,} bytes in place of {path.stat().st_size:,}; the file was removed"
        )
        files.pop("int8").unlink()
    report = _report(ready, data, files, options.samples) | {"skipped": left_out}
    if options.benchmark:
        measured = _benchmark(ready, data, files, checkpoint)
        report |= measured | {"skipped": left_out | measured["skipped"]}
    (folder / "export.json").write_text(json.dumps({**description, **report}, indent=1) + "\n", encoding="utf-8")
    _show(console, report)
    console.print(f"written: {', '.join([*map(str, files.values()), *beside])}", soft_wrap=True)
    if options.format == "onnx" and not programs:
        kinds = [
            known["kind"] + ("" if known.get("names") else " without names") for known in description["inputs"].values()
        ]
        console.print(f"no infer.py: no program reads {' and '.join(kinds)} without PyTorch", soft_wrap=True)


def _commit(run: Path) -> str | None:
    """The commit that the run was trained at, where it was recorded."""
    try:
        known = json.loads(read_small(run / "environment.json", 1_000_000))
        return str(known["git"]["sha"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _calibration(data: JointDataModule, model: ExportableModel, most: int) -> Iterator[dict[str, Tensor]]:
    # each sample alone: activations of a batch would be kept all at once
    for batch in exported.inputs_of(model, data.train_dataloader(), most):
        for index in range(len(next(iter(batch.values())))):
            yield {name: value[index : index + 1] for name, value in batch.items()}


def _report(model: ExportableModel, data: JointDataModule, files: dict[str, Path], most: int) -> dict[str, Any]:
    loader = data.test_dataloader()
    runs: dict[str, exported.Runs] = {"eager": exported.eager(model)}
    report: dict[str, Any] = {"files": {}}
    for name, path in files.items():
        runs[name] = file = _opened(path)
        same = exported.parity(model, file, exported.inputs_of(model, loader, COMPARED))
        report["files"][name] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "parity": {
                "samples": same.samples,
                "largest_difference": same.values if math.isfinite(same.values) else None,  # JSON has no infinity
                "other_labels": same.labels,
                "boxes_met": same.boxes,
            },
        }
    if model.output == "decoded":
        report["metrics"] = {
            name: exported.metrics(model.model, model.tasks, run, exported.first_samples(model, loader, most))
            for name, run in runs.items()
        }
        whole = len(data.test_set)  # type: ignore[arg-type]
        report["samples"] = {"measured": min(whole, most), "of": whole}
    return report


def _opened(path: Path) -> FileModel:
    return Pt2Model(path) if path.suffix == ".pt2" else OnnxModel(path, threads=1)


def _benchmark(
    model: ExportableModel, data: JointDataModule, files: dict[str, Path], checkpoint: Path
) -> dict[str, Any]:
    """Time of a call and memory of each, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    first: Batch = next(iter(data.test_dataloader()))
    batches = {str(size): {name: first[name][:size] for name in model.input_names} for size in (1, 16)}
    left_out: dict[str, str] = {}
    runs: dict[str, exported.Runs] = {"eager": exported.eager(model)}
    for name, run in [("compile", compiled(model, batches["1"])), *((name, _opened(f)) for name, f in files.items())]:
        if isinstance(run, str):
            left_out[name] = run
        else:
            runs[name] = run
    times = {size: exported.latency(runs, batch, 30) for size, batch in batches.items()}
    torch.set_num_threads(before)
    memories = {}
    for name in runs:
        kind = files[name].suffix[1:] if name in files else name
        found = memory(kind, files.get(name, checkpoint), batches["16"], model.tasks)
        if isinstance(found, str):
            left_out[f"memory of {name}"] = found
        else:
            memories[name] = found
    return {"latency": times, "memory": memories, "skipped": left_out}


def _show(console: Console, report: dict[str, Any]) -> None:
    head, rows = export_table(report)
    table = Table(*head, title="the file beside the model")
    if (counted := report.get("samples")) and counted["measured"] < counted["of"]:
        table.caption = f"metrics of {counted['measured']:,} of {counted['of']:,} test samples; --samples takes more"
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in skipped(report):
        console.print(f"left out: {line}", soft_wrap=True, markup=False)
    measured = report.get("metrics", {})
    for name in set(report["files"]) & set(measured):
        for key in exported.lost(measured["eager"], measured[name]):
            console.print(
                f"the {name} file loses {key}: calibrate on more samples, or use the other file", soft_wrap=True
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl export",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--checkpoint", default="best", help="`best`, `last`, or a file in checkpoints/ [best]")
    parser.add_argument("--to", type=Path, help="folder to write to [RUN/export]")
    parser.add_argument("--format", choices=("onnx", "pt2"), default="onnx", help="[onnx]")
    parser.add_argument("--tasks", help="names of the tasks to keep, with commas [all]")
    parser.add_argument("--output", choices=("decoded", "raw"), default="decoded", help="what comes out [decoded]")
    parser.add_argument(
        "--dynamic", choices=("batch", "size"), default="batch", help="left open: the batch, or image sizes too [batch]"
    )
    parser.add_argument("--resize-inside", dest="resize_inside", action="store_true", help="stretch images in the file")
    parser.add_argument(
        "--max-length",
        dest="max_length",
        type=int,
        help="steps of a sequence in a file of a network that cannot leave them open [the longest of --samples]",
    )
    parser.add_argument("--quantize", choices=("int8",), help="also write a file of 8-bit integers")
    parser.add_argument("--calibrate", type=int, default=128, help="training samples that ranges are taken from [128]")
    parser.add_argument(
        "--samples", type=int, default=MEASURED, help=f"most test samples that metrics are computed on [{MEASURED}]"
    )
    parser.add_argument("--benchmark", action="store_true", help="measure time and memory of a call, on one thread")
    parser.add_argument("--allow", help="module that the checkpoint may import beside mtl, torch, torchvision, ...")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return parser
