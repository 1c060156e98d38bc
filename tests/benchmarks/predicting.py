"""What `predict` costs beside a loop by hand over the same pictures: throughput as a share of the loop's.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/predicting.py [--number 200] [--rounds 5] [--json]
The network is the quick start's. The loop opens a picture, resizes it, runs the network, keeps boxes above the
threshold and dumps one JSON. Both take turns in one process and their CPU time is compared, so neighbours on a shared
machine do not count; `none`, `all`: annotated copies. The goal for `none` is at least 0.8.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torchvision.transforms.v2.functional import pil_to_tensor

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.evaluation.predictions.predict_folder import predict_folder
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.model import MultiTaskModel
from mtl.task import Task

KINDS = {"64 x 64 PNG": (64, 64, "png", 64), "640 x 480 JPEG": (640, 480, "jpg", 320)}
BATCH, BOXES = 16, 5  # of a picture, on average
DIGITS = tuple(map(str, range(10)))


def network() -> MultiTaskModel:
    torch.manual_seed(0)
    backbone = ResidualFPN(width=16, pyramid_width=32)
    boxes = CenterNetHead(Task("boxes", "detection", class_names=DIGITS), backbone.spec)
    scene = ClassificationHead(Task("scene", "classification", class_names=DIGITS), backbone.spec, hidden=64)
    return MultiTaskModel(backbone, {"boxes": boxes, "scene": scene}).eval()


def write_pictures(folder: Path, width: int, height: int, suffix: str, number: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for index in range(number):
        # smooth colours with some grain, which a JPEG of a photo is like
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((width, height))
        pixels = np.asarray(coarse).astype(np.int16) + rng.integers(-9, 9, (height, width, 3))
        paths.append(folder / f"{index:05}.{suffix}")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


@torch.inference_mode()
def plain_loop(model: MultiTaskModel, paths: list[Path], size: int, threshold: float, output: Path) -> None:
    results = []
    for start in range(0, len(paths), BATCH):
        images, sizes = [], []
        for path in paths[start : start + BATCH]:
            with Image.open(path) as picture:
                sizes.append(picture.size)
                images.append(pil_to_tensor(picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)))
        found = model.predict(torch.stack(images))
        for row, (width, height) in enumerate(sizes):
            boxes, scores, labels = (found["boxes"][key][row] for key in ("boxes", "scores", "labels"))
            keep = scores >= threshold
            boxes = boxes[keep] * torch.tensor([width, height, width, height]) / size
            results.append({
                "file": str(paths[start + row]), "boxes": boxes.tolist(), "scores": scores[keep].tolist(),
                "labels": labels[keep].tolist(), "scene": int(found["scene"]["labels"][row]),
            })  # fmt: skip
    output.write_text(json.dumps(results))


@torch.inference_mode()
def threshold_of(model: MultiTaskModel, paths: list[Path], size: int) -> float:
    """The score that BOXES boxes of a picture reach, on average: the network is not trained."""
    images = [pil_to_tensor(Image.open(path).convert("RGB").resize((size, size))) for path in paths[:BATCH]]
    scores = model.predict(torch.stack(images))["boxes"]["scores"].flatten().sort(descending=True).values
    return float(scores[BOXES * len(images)])


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(kind: str, number: int, rounds: int) -> dict[str, Any]:
    """Pictures per CPU second of the loop, and shares of it."""
    width, height, suffix, size = KINDS[kind]
    model = network()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        paths = write_pictures(folder / "in", width, height, suffix, number)
        threshold = threshold_of(model, paths, size)

        def predict(pictures: int | None) -> Callable[[], Any]:
            return lambda: predict_folder(
                model, folder / "in", folder / "out", size, threshold, BATCH, pictures=pictures
            )

        runs = {
            "loop": lambda: plain_loop(model, paths, size, threshold, folder / "loop.json"),
            "none": predict(0),
            "all": predict(None),
        }
        for run in runs.values():  # whatever is only done once
            run()
        seconds = [{name: cpu_seconds(run) for name, run in runs.items()} for _ in range(rounds)]
        boxes = len(json.loads((folder / "out/predictions.json").read_text())["annotations"])
    shares = {name: statistics.median(row["loop"] / row[name] for row in seconds) for name in ("none", "all")}
    loop = statistics.median(row["loop"] for row in seconds)
    return {"pictures": kind, "boxes_each": boxes / number, "loop_per_s": number / loop} | shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200, help="pictures of each kind")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [measure(kind, options.number, options.rounds) for kind in KINDS]
    if options.json:
        print(json.dumps(rows))
        return
    table = Table("pictures", "boxes each", "loop, pictures per CPU s", "predict, none", "predict, all", box=None)
    for row in rows:
        cells = (f"{row['boxes_each']:.1f}", f"{row['loop_per_s']:.0f}", f"{row['none']:.2f}", f"{row['all']:.2f}")
        table.add_row(row["pictures"], *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
