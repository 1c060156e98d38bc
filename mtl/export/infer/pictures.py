"""Run an exported model on pictures without PyTorch: python infer.py model.onnx picture.jpg ...

Needs onnxruntime, numpy and Pillow. Prints a line of JSON for each picture; boxes are in pixels of the picture. A file
`.npy` holds the values that the network takes, [C,H,W].
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

KINDS = ("image",)  # of inputs that are prepared here
BY_NAMES = False  # whether these inputs must have names
ANSWERS = ("detection",)  # kinds of tasks whose answers only this program makes out
SCORE = 0.3  # boxes below it are left out
GREY = (114, 114, 114)


def read(path: str, pixel_range: list[float] | None) -> Image.Image:
    """The picture of a file, upright, in colours of 8 bits; `pixel_range` of deeper ones becomes black and white."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode[0] in "IF":  # 16 or 32 bits, which Pillow would clip at 255
        values = np.asarray(picture).astype(np.float64)
        if pixel_range is None and picture.mode != "F":
            pixel_range, values = [0, 255], values // 256
        low, high = pixel_range or [0, 255]
        values = np.nan_to_num((values - low) * (255 / (high - low)), posinf=255.0).round().clip(0, 255)
        picture = Image.fromarray(values.astype(np.uint8))
    return picture.convert("RGBA").convert("RGB") if picture.mode == "P" else picture.convert("RGB")


def prepare(picture: Image.Image, size: list[int], fit: str) -> tuple[Any, Any, Any]:
    """The picture as the network takes it; original pixels = pixels * scale + offset."""
    (height, width), (wide, high) = size, picture.size
    ratio = min(height / high, width / wide)
    inner = (width, height)
    if fit == "letterbox":
        inner = min(width, max(1, round(wide * ratio))), min(height, max(1, round(high * ratio)))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = Image.new("RGB", (width, height), GREY)
    canvas.paste(picture.resize(inner, Image.Resampling.BILINEAR), (left, top))
    scale = np.array([wide / inner[0], high / inner[1]])
    return np.asarray(canvas), scale, -np.array([left, top]) * scale


def feed(one: Any, about: dict[str, Any], cells: dict[str, str], folder: Path) -> tuple[dict[str, Any], Any]:
    """What the network takes of a picture, and how its pixels lie in the picture."""
    path, placed = folder / cells[one.name], (np.ones(2), np.zeros(2), (np.inf, np.inf))
    if path.suffix == ".npy":
        pixels = np.load(path)
    else:
        picture = read(str(path), about.get("pixel_range"))
        canvas, scale, offset = prepare(picture, about["size"], about["fit"])
        pixels, placed = canvas.transpose(2, 0, 1), (scale, offset, picture.size)
        if one.shape[1] == 1:
            red, green, blue = pixels.astype(np.float32)
            pixels = (red * 0.2989 + green * 0.587 + blue * 0.114).astype(np.uint8)[None]
    if one.type == "tensor(float)" and pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / 255
    return {one.name: pixels[None]}, placed


def answer(what: dict[str, Any], own: dict[str, Any], placed: Any) -> Any:
    """The answer of one task as people read it."""
    if "boxes" in own:
        scale, offset, size = placed
        keep = own["scores"] >= SCORE
        boxes = (own["boxes"][keep] * np.tile(scale, 2) + np.tile(offset, 2)).clip(0, np.tile(size, 2))
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)
        columns = (boxes.round(2), own["scores"][keep], own["labels"][keep])
        rows = zip(*(column[real].tolist() for column in columns), strict=True)
        return [{"class": what["classes"][k], "score": round(s, 4), "box": box} for box, s, k in rows]
    if "labels" in own and own["labels"].ndim == 0:
        return {"class": what["classes"][int(own["labels"])], "score": round(float(own["scores"]), 4)}
    return {name: value.tolist() for name, value in own.items() if value.size <= 1000}


def predict(session: Any, about: dict[str, Any], path: str) -> dict[str, Any]:
    """The answers of all tasks."""
    (one,), names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    fed, placed = feed(one, about, {one.name: path}, Path())
    values = session.run(names, fed)
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, values, mine, strict=True) if here}
        found[task] = answer(what, own, placed)
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    for file in sys.argv[2:]:
        sys.stdout.write(json.dumps({"picture": file, **predict(run, known, file)}) + "\n")
