"""Detection and classification at 640 px on a GPU: training steps, decoding, the mAP metric, folders of pictures.

Run: python tests/benchmarks/gpu_detection.py --rows runs/gpu/rows.jsonl [--parts steps metric predict] [--rehearse]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from balancing_steps import Balanced, Setting, find_method
from gpu_rows import Rows, peak_mb, seconds_of
from PIL import Image

from mtl.evaluation.predictions.predict_folder import predict_folder
from mtl.metrics.detection_map import DetectionMAP

NUM_TASKS = 2  # boxes, and one class for the picture


def measure_steps(rows: Rows, setting: Setting, images: int, rounds: int) -> None:
    method = find_method("UPGrad", NUM_TASKS)
    assert method is not None
    steps: dict[str, Callable[[], None]] = {
        "plain": setting.plain(),
        "UPGrad at features": Balanced(setting, method, "features").step(),
        "UPGrad at parameters": Balanced(setting, method, "parameters").step(),
    }
    peaks = {}
    for name, step in steps.items():
        step()
        peaks[name] = peak_mb(step, setting.device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds_of(step, setting.device))
    for name, taken in times.items():
        ratio = median(own / base for own, base in zip(taken, times["plain"], strict=True))
        rows.add(
            "detection", step=name, side_px=setting.arch.side, batch=images, ms=1000 * median(taken),
            images_per_s=images / median(taken), time_x_plain=ratio, peak_mb=peaks[name],
        )  # fmt: skip


def measure_predictions(rows: Rows, setting: Setting, images: int, rounds: int) -> None:
    model = setting.model.eval()
    image = setting.batch["image"]

    @torch.inference_mode()
    def forward() -> None:
        with setting.autocast():
            model(image)

    @torch.inference_mode()
    def whole() -> None:
        with setting.autocast():
            outputs = model(image)
        model.decode(outputs)

    whole()
    times = [(seconds_of(forward, setting.device), seconds_of(whole, setting.device)) for _ in range(rounds)]
    rows.add(
        "predict", what="forward and decode", batch=images, side_px=setting.arch.side,
        images_per_s=images / median(both for _, both in times),
        decode_share=1 - median(alone / both for alone, both in times),
    )  # fmt: skip
    model.train()


def measure_folder(rows: Rows, setting: Setting, pictures: int) -> None:
    side = setting.arch.side
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "pictures")
        source.mkdir()
        for index in range(pictures):
            noise = torch.randint(0, 256, (side // 8, side // 8, 3), dtype=torch.uint8).numpy()
            Image.fromarray(noise).resize((side, side)).save(source / f"{index}.jpg")
        start = time.perf_counter()
        found = predict_folder(setting.model, source, Path(folder, "found"), image_size=side)
        seconds = time.perf_counter() - start
    rows.add(
        "predict", what="folder: read, predict, draw, write", batch=16, side_px=side,
        images_per_s=found["pictures"] / seconds, boxes=found["boxes"],
    )  # fmt: skip


def measure_metric(rows: Rows, device: torch.device, images: int, classes: int, detections: int) -> None:
    metric = DetectionMAP(classes)
    corner = torch.rand(images, detections, 2, device=device) * 500
    boxes = torch.cat((corner, corner + 20 + 100 * torch.rand_like(corner)), -1)
    found = torch.cat((boxes + 4 * torch.randn_like(boxes), torch.rand(images, detections, 1, device=device)), -1)
    labels = torch.randint(0, classes, (images, detections), device=device)
    true = max(1, detections // 10)

    def update() -> None:
        for start in range(0, images, 50):
            part = slice(start, start + 50)
            metric.update(
                list(found[part].cpu()), list(labels[part].cpu()), list(boxes[part, :true].cpu()),
                list(labels[part, :true].cpu()),
            )  # fmt: skip

    update_s = seconds_of(update, device)
    start = time.perf_counter()
    value = metric.compute()["map"]
    rows.add(
        "metric", images=images, detections_per_image=detections, classes=classes, update_s=update_s,
        compute_s=time.perf_counter() - start, map=float(value),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["steps", "predict", "metric"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes")
    options = parser.parse_args()
    tiny, rows = options.rehearse, Rows(options.rows, options.device)
    images, rounds = (1, 2) if tiny else (32, 15)
    with rows.guard("detection"):
        setting = Setting("resnet18-fpn" if tiny else "resnet50-fpn", NUM_TASKS, options.device, images, bf16=True)
        if "steps" in options.parts:
            with rows.guard("detection"):
                measure_steps(rows, setting, images, rounds)
        if "predict" in options.parts:
            with rows.guard("predict", what="forward and decode"):
                measure_predictions(rows, setting, images, rounds)
            with rows.guard("predict", what="folder"):
                measure_folder(rows, setting, 4 if tiny else 64)
    if "metric" in options.parts:
        with rows.guard("metric"):
            measure_metric(rows, rows.device, 60 if tiny else 1000, 10 if tiny else 80, 20 if tiny else 100)
    raise SystemExit(1 if rows.failed else 0)


if __name__ == "__main__":
    main()
