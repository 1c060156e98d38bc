"""Run an exported model on recordings without PyTorch: python infer.py model.onnx recording.wav ...

Needs onnxruntime and numpy. Reads WAV files of 16 bits, and prints one line of JSON for each. A file `.npy` holds the
values that the network takes, [T].
"""

import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("audio",)  # of inputs that are prepared here
BY_NAMES = False  # whether these inputs must have names
ANSWERS = ("transcript",)  # kinds of tasks whose answers only this program makes out
RATE = 8000  # values a second, where the data say none


def read(path: str, rate: int) -> Any:
    """The waveform of a file, -1 to 1, [T]: channels averaged, brought to a rate by its Fourier series."""
    with wave.open(path) as file:
        channels, width, own_rate, count = file.getparams()[:4]
        if width != 2 or not count:
            sys.exit(f"{path}: expected a WAV file of 16 bits with some sound; it has {8 * width} bits.")
        values = np.frombuffer(file.readframes(count), "<i2").reshape(-1, channels).mean(1) / 32768
    length = max(1, round(len(values) * rate / own_rate))
    if own_rate != rate:
        spectrum = np.fft.rfft(values)[: length // 2 + 1]
        values = np.fft.irfft(spectrum, n=length) * (length / len(values))
    return values.astype(np.float32)


def feed(one: Any, about: dict[str, Any], cells: dict[str, str], folder: Path) -> tuple[dict[str, Any], Any]:
    """What the network takes of a recording; nothing more is needed for the answers."""
    path, what = folder / cells[one.name], about["inputs"][one.name]
    values = np.load(path) if path.suffix == ".npy" else read(str(path), what.get("rate", RATE))
    steps = one.shape[1] if isinstance(one.shape[1], int) else -(-len(values) // what["multiple"]) * what["multiple"]
    if len(values) > steps:
        sys.exit(f"{path}: found {len(values)} values, and this file takes {steps}; export with a larger --max-length.")
    fed = {one.name: np.zeros((1, steps), np.float32), f"{one.name}_mask": np.arange(steps)[None] < len(values)}
    fed[one.name][0, : len(values)] = values
    return fed, None


def answer(what: dict[str, Any], own: dict[str, Any], _: Any = None) -> Any:
    """The answer of one task as people read it."""
    labels = own.get("labels", own.get("tokens"))
    if labels is None or not what["classes"]:
        return {name: value.tolist() for name, value in own.items()}
    names = [what["classes"][index] for index in labels.ravel() if index >= 0]
    if labels.ndim == 0:
        return {"class": names[0], "score": round(float(own["scores"]), 4)}
    letters = what["kind"] == "transcript" and all(len(name) == 1 for name in what["classes"][1:])
    return ("" if letters else " ").join(names)


def predict(session: Any, about: dict[str, Any], path: str) -> dict[str, Any]:
    """The answers of all tasks."""
    taken, names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    fed, _ = feed(taken[0], about, {taken[0].name: path}, Path())
    outputs = session.run(names, {one.name: fed[one.name] for one in taken})
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, outputs, mine, strict=True) if here}
        found[task] = answer(what, own)
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    for file in sys.argv[2:]:
        sys.stdout.write(json.dumps({"recording": file, **predict(run, known, file)}, ensure_ascii=False) + "\n")
