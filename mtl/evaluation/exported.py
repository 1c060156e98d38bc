"""Compare an exported file with the model it came from: parity, metrics on the test set, time, bytes."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from mtl.batch import Batch
from mtl.config.merge import Config
from mtl.data.module import JointDataModule
from mtl.data.table.module import TableDataModule
from mtl.export.exportable import ExportableModel
from mtl.export.file_model import FileModel
from mtl.export.graph import sequences
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input
from mtl.inputs.tokenizer_file import tokenizer_of
from mtl.model import MultiTaskModel

Runs = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]  # inputs by name -> outputs by name
BOXES = ("boxes", "scores", "labels")
SCORED = 0.05  # boxes below this score are not compared
SAME_SCORE = 1e-4
SURE = 0.3


@dataclass(frozen=True)
class Parity:
    """The largest differences between the outputs of a file and the model's.

    Attributes:
        samples: how many were compared.
        values: largest difference of floating outputs, in their unit; boxes (pixels) count above a score of 0.05, and
            are infinitely far where the other set has none of their class and score.
        labels: share of whole outputs (classes) that differ.
        boxes: share of boxes above a score of 0.3 that meet one of their class with an IoU of at least 0.5 in the
            other set; None without boxes. What to judge 8-bit files by, whose scores all differ.
    """

    samples: int
    values: float
    labels: float
    boxes: float | None = None


def eager(model: ExportableModel) -> Runs:
    """The model as PyTorch runs it.

    Args:
        model: the model.
    """

    @torch.inference_mode()
    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = model(*(inputs[name] for name in model.input_names))
        return dict(zip(model.output_names, outputs, strict=True))

    return run


def parity(model: ExportableModel, file: FileModel, batches: Iterable[Mapping[str, Tensor]]) -> Parity:
    """Compare outputs on samples.

    Args:
        model: where the file came from.
        file: the file.
        batches: inputs by name.
    """
    run, values, labels, samples, met = eager(model), 0.0, [0, 0], 0, [0, 0]
    for batch in batches:
        here, there = run(batch), file(batch)
        samples += len(next(iter(batch.values())))
        boxes = {name.removesuffix("_boxes") for name in here if name.endswith("_boxes")}
        for task in boxes:
            of_task = [{k: v[f"{task}_{k}"] for k in BOXES} for v in (here, there)]
            values = max(values, _gap_of_boxes(*of_task))
            met = [old + new for old, new in zip(met, _met(*of_task), strict=True)]
        for name, value in here.items():
            if name.rsplit("_", 1)[0] in boxes:
                continue
            if value.is_floating_point():
                values = max(values, float((value - there[name]).abs().max()))
            else:
                labels = [labels[0] + int((value != there[name]).sum()), labels[1] + value.numel()]
    return Parity(samples, values, labels[0] / max(1, labels[1]), met[0] / met[1] if met[1] else None)


def _met(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> tuple[int, int]:
    """Of the certain boxes of the samples, how many meet one of their class, and how many there are."""
    found, count = 0, 0
    for sample in range(len(here["boxes"])):
        sure = here["scores"][sample] > SURE
        iou = box_iou(here["boxes"][sample][sure], there["boxes"][sample])
        iou = iou * (here["labels"][sample][sure][:, None] == there["labels"][sample])
        found += int((iou.amax(1) >= 0.5).sum()) if iou.numel() else 0
        count += int(sure.sum())
    return found, count


def _gap_of_boxes(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> float:
    """How far the nearest box of the same class and score lies in the other set; equal scores are in no order."""
    same = here["labels"][:, :, None] == there["labels"][:, None]
    same &= (here["scores"][:, :, None] - there["scores"][:, None]).abs() < SAME_SCORE
    gaps = (here["boxes"][:, :, None] - there["boxes"][:, None]).abs().amax(-1)
    nearest = torch.where(same, gaps, float("inf")).amin(-1)[here["scores"] > SCORED]
    return float(nearest.max()) if nearest.numel() else 0.0


def metrics(model: MultiTaskModel, tasks: Sequence[str], run: Runs, batches: Iterable[Batch]) -> dict[str, float]:
    """Metrics of decoded outputs on labelled batches, by `task/metric`.

    Args:
        model: whose heads know the metrics.
        tasks: which tasks the outputs have.
        run: gives outputs named `<task>_<key>`.
        batches: the test set.
    """
    sets = {name: model.head(name).metrics() for name in tasks}
    for batch in batches:
        outputs = run(batch)
        for name, found in sets.items():
            own = {key.removeprefix(f"{name}_"): v for key, v in outputs.items() if key.startswith(f"{name}_")}
            found.update(own, batch)
    return {f"{name}/{key}": float(value) for name, found in sets.items() for key, value in found.compute().items()}


def first_samples(model: ExportableModel, batches: Iterable[Batch], most: int) -> Iterable[Batch]:
    """The first samples, with their labels.

    Args:
        model: names its inputs.
        batches: labelled batches.
        most: number of samples at most.
    """
    left = most
    for batch in batches:
        size = min(left, len(batch[model.input_names[0]]))
        if size < 1:
            return
        yield {key: value[:size] if isinstance(value, Tensor) else value for key, value in batch.items()}
        left -= size


def inputs_of(model: ExportableModel, batches: Iterable[Batch], most: int) -> Iterable[dict[str, Tensor]]:
    """Inputs alone of the first samples.

    Args:
        model: names them.
        batches: labelled batches.
        most: number of samples at most.
    """
    for batch in first_samples(model, batches, most):
        yield {name: batch[name] for name in model.input_names}


def longest(model: ExportableModel, batches: Iterable[Batch], most: int) -> dict[str, int]:
    """Steps of the longest sequences among the first samples, by the names of the inputs and their masks.

    Args:
        model: names its inputs.
        batches: labelled batches; read only where the model takes sequences.
        most: number of samples at most.
    """
    found = dict.fromkeys(sequences(model.input_names), 1)
    for batch in inputs_of(model, batches, most) if found else ():
        found = {name: max(steps, batch[name].shape[1]) for name, steps in found.items()}
    return found


def latency(runs: Mapping[str, Runs], inputs: Mapping[str, Tensor], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a call, p50 and p95, and p50 as a multiple of the first; all take turns in every round.

    Args:
        runs: by name; the first is the base.
        inputs: one batch.
        rounds: calls of each.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            start = time.process_time_ns()
            run(inputs)
            if number > 1:
                times[name].append((time.process_time_ns() - start) / 1e6)
    base = statistics.median(next(iter(times.values())))
    return {
        name: {
            "p50_ms": statistics.median(taken),
            "p95_ms": sorted(taken)[min(len(taken) - 1, round(0.95 * len(taken)))],
            "x_first": statistics.median(taken) / base,
        }
        for name, taken in times.items()
    }


def image_size(
    data: JointDataModule, config: Config, model: MultiTaskModel
) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    """Height and width of the network's images, and how a picture is brought to them; nothing without images.

    Args:
        data: after `setup("test")`.
        config: of the run.
        model: the model.
    """
    names = [name for name, part in model.inputs.items() if isinstance(part, ImageInput)]
    if not names:
        return None, {}
    height, width = _first_image(data, names[0]).shape[-2:]
    how = {"fit": config.get(("data", "init_args", "fit")) or "letterbox"}  # without it, as `predict` does
    pixel_range = config.get(("data", "init_args", "pixel_range"))
    return (int(height), int(width)), how | ({"pixel_range": pixel_range} if pixel_range else {})


def missing_cells(data: JointDataModule) -> dict[str, Any]:
    """What cells of a table mean that nothing is known, for data of rows; nothing for others.

    Args:
        data: of the run.
    """
    if not isinstance(data, TableDataModule):
        return {}
    missing_in = {column: list(cells) for column, cells in data.columns.missing_in.items()}
    return {"missing": list(data.columns.missing), "missing_in": missing_in}


def float_images(data: JointDataModule, model: MultiTaskModel) -> bool:
    """Whether the images of the samples are float32 in 0..1, and not uint8.

    Args:
        data: after `setup("test")`.
        model: the model.
    """
    names = [name for name, part in model.inputs.items() if isinstance(part, ImageInput)]
    return bool(names) and _first_image(data, names[0]).is_floating_point()


def _first_image(data: JointDataModule, name: str) -> Tensor:
    """The image of the first test sample that has one."""
    samples = (data.test_set[index] for index in range(len(data.test_set)))  # type: ignore[arg-type]
    found = next((sample[name] for sample in samples if sample.get(name) is not None), None)
    if found is None:
        raise ValueError(f"no test sample has the input {name!r}, whose size an exported file needs.")
    return torch.as_tensor(found)


def describe(model: ExportableModel, run: str, **more: Any) -> dict[str, Any]:
    """What a program must know to use the file; plain data.

    Args:
        model: the model.
        run: name of the run that it came from.
        more: further entries, such as how images are brought to the size.
    """
    tasks: dict[str, Any] = {}
    for name in model.tasks:
        task = model.model.head(name).task
        tasks[name] = {"kind": task.kind, "classes": [task.class_name(index) for index in range(task.num_classes)]}
    inputs: dict[str, dict[str, Any]] = {}
    for name, part in model.model.inputs.items():
        assert isinstance(part, Input)
        spec = part.spec
        inputs[name] = {"kind": spec.kind, "channels": spec.channels}
        inputs[name] |= {"names": list(spec.names)} if spec.names else {}
        inputs[name] |= {"tokenizer": tokenizer_of(spec.tokenizer).text} if spec.tokenizer else {}
        inputs[name] |= {"rate": spec.rate} if spec.rate else {}
        lengths = part.open_dimensions(spec)
        inputs[name] |= {"multiple": next(iter(lengths.values()))} if lengths else {}
    return {"tasks": tasks, "inputs": inputs, "output": model.output, "size": model.size, "run": run, **more}


def lost(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Metrics that a file has lost more of than rounding explains: 1.5 % of a mean average precision, 0.01 of others.

    Args:
        before: of the model.
        after: of the file.
    """
    found = []
    for key, value in before.items():
        allowed = 0.015 * value if "/map" in key else 0.01
        if value <= 1 and value - after[key] > allowed:
            found.append(f"{key} ({value:.3f} -> {after[key]:.3f})")
    return found
