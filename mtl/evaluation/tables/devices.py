"""What the rows of a comparison are on a device: each as an ONNX file, its bytes and time beside its test metrics.

Rows of single tasks also stand together, as one device that needs all their answers would hold them.
"""

import csv
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mtl.config.import_policy import allow_imports
from mtl.config.merge import Config, read_config
from mtl.config.yaml_lines import dump_yaml
from mtl.data.module import JointDataModule
from mtl.evaluation.build import build_data
from mtl.evaluation.exported import Runs, float_images, image_size, latency
from mtl.evaluation.load import load_checkpoint
from mtl.evaluation.tables.delta_m import Metric
from mtl.evaluation.tables.hypervolume import non_dominated
from mtl.evaluation.tables.report import Report, Row
from mtl.export.exportable import ExportableModel
from mtl.export.onnx_file import OnnxModel, require_onnx, without_scopes, write_onnx
from mtl.runs.checkpoint_files import find_checkpoint

BATCHES = (1, 16)
TOGETHER = "single tasks together"
ROUNDS = 30


@dataclass(frozen=True)
class OnDevice:
    """A row as a file.

    Args:
        name: of the row.
        seeds: runs that its metrics are the means of.
        parameters: of the model.
        num_bytes: of the file; of a pair of files together.
        ms: CPU milliseconds of a call on one thread, p50, by batch size.
        values: mean test metrics by `task/metric`; those that the row has.
    """

    name: str
    seeds: int
    parameters: int
    num_bytes: int
    ms: Mapping[int, float]
    values: Mapping[str, float]


def on_devices(report: Report, root: Path, allow: Sequence[str] = ()) -> list[OnDevice]:
    """Export the first seed of each row, and time all files in turns in this process.

    Rows whose files have the same parameters and bytes are one network with other weights: they share one time, the
    median of theirs, so that noise decides nothing between them.

    Args:
        report: of the comparison.
        root: its folder.
        allow: modules of your own whose classes the checkpoints may name.
    """
    require_onnx()
    allow_imports(tuple(allow))
    rows = [*report.ordered(), *report.singles.values()]
    known: dict[str, JointDataModule] = {}
    with tempfile.TemporaryDirectory() as folder:
        made = {row.name: _file(row, root, known, Path(folder) / f"{place}.onnx") for place, row in enumerate(rows)}
        times: dict[int, Mapping[str, Mapping[str, float]]] = {}
        for size in BATCHES:
            calls = {name: _call(path, inputs, size) for name, (path, _, inputs) in made.items()}
            times[size] = latency(calls, {}, ROUNDS)
        weights = {name: (number, path.stat().st_size) for name, (path, number, _) in made.items()}

        def alike(name: str) -> list[str]:
            return [other for other, own in weights.items() if own == weights[name]]

        found = [
            OnDevice(
                row.name,
                len(row.results),
                *weights[row.name],
                {
                    size: statistics.median(times[size][other]["p50_ms"] for other in alike(row.name))
                    for size in BATCHES
                },
                {m.key: statistics.fmean(values) for m in report.metrics if (values := row.values(m.key))},
            )
            for row in rows
        ]
    alone = [one for one in found if one.name in {row.name for row in report.singles.values()}]
    return [*found, *([_together(alone)] if len(alone) > 1 else [])]


def _together(alone: Sequence[OnDevice]) -> OnDevice:
    return OnDevice(
        TOGETHER,
        min(one.seeds for one in alone),
        sum(one.parameters for one in alone),
        sum(one.num_bytes for one in alone),
        {size: sum(one.ms[size] for one in alone) for size in BATCHES},
        {key: value for one in alone for key, value in one.values.items()},
    )


def _file(
    row: Row, root: Path, known: dict[str, JointDataModule], path: Path
) -> tuple[Path, int, Mapping[str, Tensor]]:
    """The row's file, its number of parameters, and a batch of test inputs."""
    run = root / row.name / next(iter(row.results))
    config = read_config([run / "config.yaml"])
    data = _data(config, known)
    # as the test took it: the last weights where no validation has chosen the best
    which = "best" if (run / "checkpoints" / "best.ckpt").is_file() else "last"
    model = load_checkpoint(find_checkpoint(run, which)).model
    size, _ = image_size(data, config, model)
    ready = ExportableModel(model, size=size, float_images=float_images(data, model))
    write_onnx(ready, path)
    without_scopes(path)
    batch = next(iter(data.test_dataloader()))
    number = sum(parameter.numel() for parameter in ready.model.parameters())
    return path, number, {name: batch[name] for name in ready.input_names}


def _data(config: Config, known: dict[str, JointDataModule]) -> JointDataModule:
    key = dump_yaml(config.values["data"])
    if key not in known:
        known[key] = build_data(config)
        known[key].setup("test")
    return known[key]


def _call(path: Path, inputs: Mapping[str, Tensor], size: int) -> Runs:
    model = OnnxModel(path, threads=1)
    batch = {name: value[:size] for name, value in inputs.items()}
    return lambda _: model(batch)


def on_the_front(found: Sequence[OnDevice], metric: Metric, cost: str) -> list[str]:
    """Rows that no other row beats in both a metric and a cost, from the cheapest to the dearest.

    Args:
        found: the rows; those without the metric do not count.
        metric: the metric.
        cost: `bytes`, or a batch size.
    """
    sign = -1 if metric.higher_is_better else 1
    points = {one.name: (price(one, cost), sign * one.values[metric.key]) for one in found if metric.key in one.values}
    best = non_dominated(list(points.values()))
    return sorted((name for name, point in points.items() if point in best), key=lambda name: points[name])


def price(one: OnDevice, cost: str) -> float:
    """What a row costs.

    Args:
        one: the row.
        cost: `bytes`, or a batch size.
    """
    return float(one.num_bytes) if cost == "bytes" else one.ms[int(cost)]


def table_of_devices(found: Sequence[OnDevice], metrics: Sequence[Metric]) -> str:
    """A markdown table; metrics on the front of bytes and time at batch 1 are bold.

    Args:
        found: the rows.
        metrics: columns.
    """
    head = ["row", "seeds", "parameters", "bytes", *(f"ms, batch {size}" for size in BATCHES)]
    lines = [f"| {' | '.join([*head, *(metric.key for metric in metrics)])} |"]
    lines.append(f"| --- |{' ---: |' * (len(head) - 1 + len(metrics))}")
    front = {m.key: {*on_the_front(found, m, "bytes"), *on_the_front(found, m, "1")} for m in metrics}
    for one in found:
        cells = [one.name, str(one.seeds), f"{one.parameters:,}", f"{one.num_bytes:,}"]
        cells += [f"{one.ms[size]:.2f}" for size in BATCHES]
        for metric in metrics:
            text = f"{one.values[metric.key]:.4f}" if metric.key in one.values else ""
            cells.append(f"**{text}**" if text and one.name in front[metric.key] else text)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_devices(found: Sequence[OnDevice], path: Path) -> None:
    """Write a CSV.

    Args:
        found: the rows.
        path: the file.
    """
    keys = list(dict.fromkeys(key for one in found for key in one.values))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "seeds", "parameters", "bytes", *(f"ms_batch_{size}" for size in BATCHES), *keys])
        for one in found:
            numbers = [*(one.ms[size] for size in BATCHES), *(one.values.get(key) for key in keys)]
            cells = ["" if number is None else f"{number:.6g}" for number in numbers]
            writer.writerow([one.name, one.seeds, one.parameters, one.num_bytes, *cells])
