"""ONNX files: written from an `ExportableModel`, with what a program must know to use them, and run by onnxruntime."""

import json
import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl.errors import printable
from mtl.export.exportable import ExportableModel
from mtl.features import MASK

OPSET = 18
METADATA = "mtl"  # key of the file's own description


class MissingPackage(ImportError):
    """An optional package is not installed."""


def require_onnx() -> None:
    """Say how to get what exporting needs.

    Raises:
        MissingPackage: if onnx, onnxscript or onnxruntime is missing.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ImportError as error:
            raise MissingPackage(f"exporting to ONNX needs {name}: pip install 'mtl[export]'.") from error


def write_onnx(
    model: ExportableModel,
    path: Path,
    dynamic_size: bool = False,
    description: Mapping[str, Any] | None = None,
    max_length: int = 64,
) -> None:
    """Write one file; the batch size is left open.

    Args:
        model: the model.
        path: the file to write.
        dynamic_size: leave height and width of images open too.
        description: plain data that is kept in the file, for programs that read it.
        max_length: steps of a sequence, for trunks that cannot leave that open.
    """
    require_onnx()
    import onnx

    try:
        graph = _graph(model, model.example(3), dynamic_size, open_lengths=True)
    except torch._dynamo.exc.UserError as error:
        if "_length" not in str(error):
            raise
        # recurrent layers are unrolled: sequences get one length, and shorter ones are padded to it
        graph = _graph(model, padded(model.example(3), max_length), dynamic_size, open_lengths=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(
                graph,
                dynamo=True,
                input_names=model.input_names,
                output_names=model.output_names,
                opset_version=OPSET,
                verbose=False,
                optimize=True,
            )
        finally:
            logging.disable(before)
    assert program is not None
    proto = program.model_proto
    # names of scopes for each node are as large as a small network
    for node in proto.graph.node:
        scopes = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        kept = [(entry.key, entry.value) for entry in scopes]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA, value=json.dumps(dict(description or {})))
    onnx.save(proto, str(path))


def _graph(
    model: ExportableModel, example: Mapping[str, Tensor], dynamic_size: bool, open_lengths: bool
) -> torch.export.ExportedProgram:
    """The graph of a model. A size that the model fixes is an error; the ONNX exporter alone would fix it silently."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    lengths: dict[str, Any] = {}
    shapes = []
    for name, value in example.items():
        dims: dict[int, Any] = {0: batch}
        if name in model.images and (dynamic_size or model.resize_inside):
            dims |= {value.ndim - 2: torch.export.Dim.AUTO, value.ndim - 1: torch.export.Dim.AUTO}
        elif open_lengths and name in sequences(example):
            words = name.removesuffix(MASK)
            dims[1] = lengths.setdefault(words, torch.export.Dim(f"{words}_length", min=1, max=1 << 20))
        shapes.append(dims)
    with torch.no_grad():
        return torch.export.export(
            model, tuple(example.values()), dynamic_shapes={"inputs": tuple(shapes)}, strict=False
        )


def sequences(inputs: Iterable[str]) -> list[str]:
    """Names of the inputs that have a length, and of their masks.

    Args:
        inputs: names.
    """
    names = list(inputs)
    return [name for name in names if f"{name.removesuffix(MASK)}{MASK}" in names]


def padded(inputs: Mapping[str, Tensor], length: int) -> dict[str, Tensor]:
    """Inputs whose sequences have one length.

    Args:
        inputs: by name.
        length: in steps.

    Raises:
        ValueError: if one is longer.
    """
    made = dict(inputs)
    for name in sequences(inputs):
        steps = made[name].shape[1]
        if steps > length:
            raise ValueError(f"input {name!r} has {steps} steps; this file takes {length}. Export with a larger one.")
        made[name] = nn.functional.pad(made[name], [0] * (2 * made[name].ndim - 3) + [length - steps])
    return made


def without_scopes(path: Path) -> None:
    """Take the names of scopes out of a file, which only quantisation needs.

    Args:
        path: the file, rewritten in place.
    """
    import onnx

    proto = onnx.load(str(path))
    for node in proto.graph.node:
        del node.metadata_props[:]
    onnx.save(proto, str(path))


class OnnxModel:
    """An exported model in onnxruntime.

    Args:
        path: the file.
        threads: of one operator.

    Attributes:
        description: what was written into the file.

    Raises:
        ValueError: if the file cannot be loaded.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        require_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the package raises classes of its own for each kind of damage
            reason = printable(str(error))
            raise ValueError(f"{str(path)!r} is no model that onnxruntime can load: {reason}") from error
        self.input_names = [one.name for one in self.session.get_inputs()]
        self.output_names = [one.name for one in self.session.get_outputs()]
        known = self.session.get_modelmeta().custom_metadata_map.get(METADATA, "{}")
        self.description: dict[str, Any] = json.loads(known)

    def __call__(self, inputs: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> dict[str, Tensor]:
        """The outputs by name.

        Args:
            inputs: by name.
        """
        length = next((s.shape[1] for s in self.session.get_inputs() if s.name in sequences(self.input_names)), None)
        given = {name: torch.as_tensor(inputs[name]) for name in self.input_names}
        fed = padded(given, length) if isinstance(length, int) else given
        found = self.session.run(self.output_names, {name: value.numpy() for name, value in fed.items()})
        outputs = {name: torch.from_numpy(np.array(v)) for name, v in zip(self.output_names, found, strict=True)}
        if isinstance(length, int):
            steps = next(given[name].shape[1] for name in sequences(given))
            outputs = {n: v[:, :steps] if v.ndim > 1 and v.shape[1] == length else v for n, v in outputs.items()}
        return outputs
