"""How the ONNX exporter writes operators that it does not know, or writes as onnxruntime cannot run them.

Shapes: T steps, B samples, C channels of a step, H units, S states, G rows of the gates.
"""

from typing import Any

import torch

import mtl.export.recurrent  # noqa: F401  it registers the operators


def translations() -> dict[Any, Any]:
    """For `torch.onnx.export`: a PyTorch operator to the function that writes it."""
    from onnxscript import ir, opset18

    def place(index: int) -> Any:
        return opset18.Constant(value_ints=[index])

    def lstm(values_TBC: Any, gates_GC: Any, recurrent_GH: Any, bias_2G: Any, start_SBH: Any) -> Any:
        made, last, last_cell = opset18.LSTM(
            values_TBC,
            opset18.Unsqueeze(gates_GC, place(0)),
            opset18.Unsqueeze(recurrent_GH, place(0)),
            opset18.Unsqueeze(bias_2G, place(0)),
            None,
            opset18.Slice(start_SBH, place(0), place(1), place(0)),
            opset18.Slice(start_SBH, place(1), place(2), place(0)),
            hidden_size=recurrent_GH.shape[1],
        )
        return opset18.Squeeze(made, place(1)), opset18.Concat(last, last_cell, axis=0)

    def gru(values_TBC: Any, gates_GC: Any, recurrent_GH: Any, bias_2G: Any, start_SBH: Any) -> Any:
        made, last = opset18.GRU(
            values_TBC,
            opset18.Unsqueeze(gates_GC, place(0)),
            opset18.Unsqueeze(recurrent_GH, place(0)),
            opset18.Unsqueeze(bias_2G, place(0)),
            None,
            start_SBH,
            hidden_size=recurrent_GH.shape[1],
            linear_before_reset=1,  # as PyTorch does
        )
        return opset18.Squeeze(made, place(1)), last

    def where(condition: Any, here: Any, there: Any) -> Any:
        if here.dtype != ir.DataType.BOOL:
            return opset18.Where(condition, here, there)
        # onnxruntime chooses between numbers only
        return opset18.Or(opset18.And(condition, here), opset18.And(opset18.Not(condition), there))

    return {torch.ops.mtl.lstm.default: lstm, torch.ops.mtl.gru.default: gru, torch.ops.aten.where.self: where}
