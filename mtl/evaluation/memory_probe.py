"""How much memory a model needs in a process of its own: python memory_probe.py KIND FILE INPUTS.npz

KIND is `onnx`, `pt2`, `eager` or `compile`; the last two take a checkpoint, and names of tasks behind the inputs.
Prints JSON: `before_mb`, the process with its runtime and nothing loaded, and `peak_mb`, the most while the model is
loaded and called twice. Runs as a file and not as a module of `mtl`, so that an ONNX file is measured without PyTorch.
"""

import json
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

Inputs = dict[str, Any]


def resident_mb(field: str) -> float:
    """Memory of this process in MB; on systems that do not say, the most so far.

    Args:
        field: `VmRSS`, now, or `VmHWM`, the most so far.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 2**20 if sys.platform == "darwin" else most / 1024


def forget_the_most() -> None:
    """Let `VmHWM` begin anew: importing a runtime takes more than it keeps."""
    with suppress(OSError):  # another system: the most so far counts
        Path("/proc/self/clear_refs").write_text("5")


def runner(kind: str, path: str, tasks: list[str], inputs: Inputs) -> Callable[[], Callable[[Inputs], object]]:
    """Import the runtime; what comes back loads the model.

    Args:
        kind: of the file.
        path: the file.
        tasks: the tasks to keep, of a checkpoint.
        inputs: one batch.
    """
    if kind == "onnx":
        import onnxruntime

        def load_onnx() -> Callable[[Inputs], object]:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            names = {one.name for one in session.get_inputs()}
            return lambda inputs: session.run(None, {key: inputs[key] for key in inputs if key in names})

        return load_onnx
    import torch

    torch.set_num_threads(1)
    if kind == "pt2":
        import mtl.export.pt2_file as files

        def load_pt2() -> Callable[[Inputs], object]:
            model = files.Pt2Model(Path(path))
            return lambda inputs: model({name: torch.from_numpy(value) for name, value in inputs.items()})

        return load_pt2
    from mtl.evaluation.load import load_checkpoint
    from mtl.export.exportable import ExportableModel

    def load_torch() -> Callable[[Inputs], object]:
        # the size is asked for of images alone
        size = next((value.shape[-2:] for value in inputs.values() if value.ndim == 4), None)
        model = ExportableModel(load_checkpoint(path).model, tasks, size=size)
        call: Callable[..., Any] = model.compiled() if kind == "compile" else model

        @torch.inference_mode()
        def run(inputs: Inputs) -> object:
            return call(*(torch.from_numpy(inputs[name]) for name in model.input_names))

        return run

    return load_torch


def main() -> None:
    """Measure what the command line names, and print it."""
    kind, path, inputs_file, *tasks = sys.argv[1:]
    inputs = dict(np.load(inputs_file))
    load = runner(kind, path, tasks, inputs)
    before = resident_mb("VmRSS")
    forget_the_most()
    run = load()
    for _ in range(2):
        run(inputs)
    print(json.dumps({"before_mb": before, "peak_mb": resident_mb("VmHWM")}))  # noqa: T201, what the caller reads


if __name__ == "__main__":
    main()
