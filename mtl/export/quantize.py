"""Eight-bit ONNX files: static quantisation of the network, calibrated on training samples; decoding stays in float."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtl.export.graph import padded
from mtl.export.onnx_file import OnnxModel, require_onnx

SCOPES = "pkg.torch.onnx.name_scopes"
OF_THE_NETWORK = ("model.trunk", "model.heads")  # scopes whose operators are quantised
QUANTISED = ("Conv", "Gemm", "MatMul", "Relu", "Add", "Mul", "MaxPool", "GlobalAveragePool", "Resize", "Concat")


def quantize(source: Path, target: Path, batches: Iterable[Mapping[str, Any]]) -> None:
    """Write an int8 file: weights per channel, activations unsigned, both as pairs of QuantizeLinear and Dequantize.

    Args:
        source: a float file of `write_onnx`, with the names of its scopes.
        target: the file to write.
        batches: training samples by input name, whose ranges are taken.
    """
    require_onnx()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[Mapping[str, Any]] = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.rest, None)
            if batch is None:
                return None
            full = padded({name: torch.as_tensor(value) for name, value in batch.items()}, lengths)
            return {name: np.asarray(value) for name, value in full.items()}

    lengths = OnnxModel(source).lengths
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        # names of nodes stay, their scopes do not
        inside = {node.name for node in onnx.load(str(source)).graph.node if _is_of_network(node)}
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        proto = onnx.load(str(ready))
        left = [node.name for node in proto.graph.node if node.name not in inside]
        quantize_static(
            str(ready),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=left,
            op_types_to_quantize=list(QUANTISED),
        )


def _is_of_network(node: Any) -> bool:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    return any(scope in scopes for scope in OF_THE_NETWORK)
