"""What an exported file costs beside its model: time of `torch.compile` too, and memory in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mtl
from mtl.errors import printable
from mtl.evaluation.exported import Runs
from mtl.export.exportable import ExportableModel

PROBE = Path(__file__).resolve().with_name("memory_probe.py")
_SECONDS = 600  # for one process, which may have to compile


def compiled(model: ExportableModel, inputs: Mapping[str, Tensor]) -> Runs | str:
    """The model under `torch.compile`, or why it cannot be compiled here.

    Args:
        model: the model.
        inputs: one batch, to see whether it runs.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, and there is no {compiler}"
    network = model.compiled()

    @torch.inference_mode()
    def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = network(*(inputs[name] for name in model.input_names))
        return dict(zip(model.output_names, outputs, strict=True))

    try:
        run(inputs)
    except (RuntimeError, OSError, ImportError) as error:  # what the compiler of graphs raises are RuntimeErrors
        return f"torch.compile fails: {printable(str(error).strip().splitlines()[0], 200)}"
    return run


def memory(kind: str, path: Path, inputs: Mapping[str, Tensor], tasks: Sequence[str]) -> dict[str, float] | str:
    """Megabytes of a process that does nothing but load a model and call it, or why that was not measured.

    Args:
        kind: `onnx`, `pt2`, `eager` or `compile`.
        path: the file; for the last two the checkpoint.
        inputs: one batch.
        tasks: the tasks to keep.

    Returns:
        `before_mb`, the runtime without a model, and `peak_mb`, the most with it.
    """
    if sys.platform == "win32":
        return "memory is measured on Linux and macOS"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "inputs.npz"
        np.savez(file, **{name: value.numpy() for name, value in inputs.items()})  # type: ignore[arg-type]
        package = str(Path(mtl.__file__).resolve().parents[1])
        paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        words = [sys.executable, "-P", str(PROBE), kind, str(path), str(file), *tasks]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_SECONDS, check=True,
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        except subprocess.CalledProcessError as error:
            return printable((error.stderr.strip().splitlines() or ["the process ended"])[-1], 200)
        except subprocess.TimeoutExpired:
            return f"its process was stopped after {_SECONDS} s"
    return found
