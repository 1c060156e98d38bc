"""Run an exported model on pictures without PyTorch: python infer.py model.onnx picture.jpg ...

Needs onnxruntime, numpy and Pillow. Prints one line of JSON for each picture; boxes are in pixels of the picture.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def prepare(picture, size, fit):
    """The picture as the network takes it, and what brings its pixels back: original = pixel * scale + offset."""
    (height, width), (wide, high) = size, picture.size
    if fit != "letterbox":
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized), (wide / width, high / height), (0.0, 0.0)
    ratio = min(height / high, width / wide)
    inner = max(1, round(wide * ratio)), max(1, round(high * ratio))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = Image.new("RGB", (width, height), (114, 114, 114))
    canvas.paste(picture.resize(inner, Image.Resampling.BILINEAR), (left, top))
    scale = wide / inner[0], high / inner[1]
    return np.asarray(canvas), scale, (-left * scale[0], -top * scale[1])


def main(file, pictures):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["mtl"])
    names = [one.name for one in session.get_outputs()]
    for path in pictures:
        picture = Image.open(path).convert("RGB")
        pixels, scale, offset = prepare(picture, about["size"], about.get("fit"))
        feed = {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]}
        outputs = {name: value[0] for name, value in zip(names, session.run(names, feed))}
        found = {"picture": path}
        for task, what in about["tasks"].items():
            own = {name[len(task) + 1 :]: outputs[name] for name in names if name.startswith(task + "_")}
            if "boxes" in own:
                keep = own["scores"] >= 0.3
                boxes = own["boxes"][keep] * np.tile(scale, 2) + np.tile(offset, 2)
                classes = [what["classes"][label] for label in own["labels"][keep]]
                scores = own["scores"][keep].round(4).tolist()
                found[task] = [
                    {"class": name, "score": score, "box": box}
                    for name, score, box in zip(classes, scores, boxes.round(2).tolist())
                ]
            else:
                found[task] = {name: value.round(4).tolist() for name, value in own.items() if value.size <= 1000}
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
