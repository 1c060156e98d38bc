"""ONNX files: written from an `ExportableModel`, with what a program must know to use them, and run by onnxruntime."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.errors import printable
from mtl.export.exportable import ExportableModel
from mtl.export.file_model import FileModel
from mtl.export.graph import graph_of
from mtl.export.translations import translations

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
    max_lengths: Mapping[str, int] | None = None,
) -> None:
    """Write one file; the batch size is left open.

    Args:
        model: the model.
        path: the file to write.
        dynamic_size: leave height and width of images open too.
        description: plain data that is kept in the file, for programs that read it.
        max_lengths: steps of the sequences and their masks by name, for trunks that cannot leave them open.
    """
    require_onnx()
    import onnx

    graph = graph_of(model, dynamic_size, max_lengths, as_operators=True)
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
                custom_translation_table=translations(),
                verbose=False,
                optimize=True,
            )
        finally:
            logging.disable(before)
    assert program is not None
    proto = program.model_proto
    # names of scopes for each node are as large as a small network
    for node in _nodes(proto.graph):
        scopes = [entry for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"]
        kept = [(entry.key, entry.value) for entry in scopes]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA, value=json.dumps({"steps": model.in_steps, **(description or {})}))
    onnx.save(proto, str(path))


def without_scopes(path: Path) -> None:
    """Take the names of scopes out of a file, which only quantisation needs.

    Args:
        path: the file, rewritten in place.
    """
    import onnx

    proto = onnx.load(str(path))
    for node in _nodes(proto.graph):
        del node.metadata_props[:]
    onnx.save(proto, str(path))


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the loops and branches in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)  # empty where it is something else


class OnnxModel(FileModel):
    """An exported model in onnxruntime.

    Args:
        path: the file.
        threads: of one operator.

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
        known = self.session.get_modelmeta().custom_metadata_map.get(METADATA, "{}")
        shapes = {one.name: one.shape for one in self.session.get_inputs()}
        floats = [one.name for one in self.session.get_inputs() if one.type == "tensor(float)"]
        outputs = [one.name for one in self.session.get_outputs()]
        super().__init__(list(shapes), outputs, shapes, json.loads(known), floats)

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        found = self.session.run(self.output_names, {name: value.numpy() for name, value in inputs.items()})
        return [torch.from_numpy(np.array(value)) for value in found]
