"""Recurrent layers as exporters can follow them: LSTM layers for sequences of any length.

PyTorch unrolls the steps of `nn.LSTM` when a graph is taken, so that a file would hold one length and one copy of the
layer for each step. An ONNX file gets the operator of that name, and a PyTorch file a loop.
Shapes: B samples, T steps, C channels of a step, H units; G = 4H rows of the gates, in the order of ONNX: input,
output, forget, cell.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.functional.sequence.step_scan import scan_steps

_Layer = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]  # one direction


def with_open_lengths(model: nn.Module, as_operator: bool) -> None:
    """Replace the LSTM layers of a model that is about to be exported; layers with projections stay as they are.

    Args:
        model: changed in place.
        as_operator: call the operator that an ONNX file translates, and not a loop.
    """
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.LSTM) and not child.proj_size:
                setattr(part, name, _LSTM(child, as_operator))


@torch.library.custom_op("mtl::lstm", mutates_args=())
def _one_direction(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_G: Tensor, start_2BH: Tensor
) -> tuple[Tensor, Tensor]:
    return _loop(values_TBC, gates_GC, recurrent_GH, bias_G, start_2BH)


@_one_direction.register_fake
def _(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_G: Tensor, start_2BH: Tensor
) -> tuple[Tensor, Tensor]:
    units = recurrent_GH.shape[1]
    return values_TBC.new_empty(*values_TBC.shape[:2], units), torch.empty_like(start_2BH)


def _loop(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_G: Tensor, start_2BH: Tensor
) -> tuple[Tensor, Tensor]:
    def step(state_2BH: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        hidden_BH, cell_BH = state_2BH.unbind()
        gates_BG = row[0] + hidden_BH @ recurrent_GH.T
        into_BH, out_BH, keep_BH, new_BH = gates_BG.chunk(4, 1)
        cell_BH = keep_BH.sigmoid() * cell_BH + into_BH.sigmoid() * new_BH.tanh()
        hidden_BH = out_BH.sigmoid() * cell_BH.tanh()
        return torch.stack((hidden_BH, cell_BH)), hidden_BH

    last_2BH, made_TBH = scan_steps(step, start_2BH, (F.linear(values_TBC, gates_GC, bias_G),))
    return made_TBH, last_2BH


class _LSTM(nn.Module):
    """Takes and gives what `nn.LSTM` does, without dropout between layers.

    Args:
        layer: whose weights are taken.
        as_operator: call the operator of one layer and direction, and not a loop.
    """

    def __init__(self, layer: nn.LSTM, as_operator: bool) -> None:
        super().__init__()
        self.batch_first, self.units, self.layers = layer.batch_first, layer.hidden_size, layer.num_layers
        self.run: _Layer = torch.ops.mtl.lstm.default if as_operator else _loop
        self.ends = ["", "_reverse"] if layer.bidirectional else [""]
        for index in range(layer.num_layers):
            for end in self.ends:
                own = f"_l{index}{end}"
                bias_G = torch.zeros(4 * layer.hidden_size)
                if layer.bias:
                    bias_G = getattr(layer, f"bias_ih{own}") + getattr(layer, f"bias_hh{own}")
                weights = (getattr(layer, f"weight_ih{own}"), getattr(layer, f"weight_hh{own}"), bias_G)
                for kind, weight in zip(("gates", "recurrent", "bias"), weights, strict=True):
                    into, keep, new, out = weight.detach().chunk(4)
                    self.register_buffer(kind + own, torch.cat((into, out, keep, new)))

    def forward(
        self, values: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        values_TBC = values.transpose(0, 1) if self.batch_first else values
        zeros_BH = values_TBC.new_zeros(values_TBC.shape[1], self.units)
        last, place = [], 0
        for index in range(self.layers):
            made = []
            for end in self.ends:
                own = f"_l{index}{end}"
                gates_GC, recurrent_GH, bias_G = (getattr(self, kind + own) for kind in ("gates", "recurrent", "bias"))
                start_2BH = torch.stack((zeros_BH, zeros_BH) if state is None else (state[0][place], state[1][place]))
                given_TBC = values_TBC.flip(0) if end else values_TBC
                made_TBH, last_2BH = self.run(given_TBC, gates_GC, recurrent_GH, bias_G, start_2BH)
                made.append(made_TBH.flip(0) if end else made_TBH)
                last.append(last_2BH)
                place += 1
            values_TBC = torch.cat(made, 2)
        hidden, cell = torch.stack(last, 1).unbind()
        return (values_TBC.transpose(0, 1) if self.batch_first else values_TBC), (hidden, cell)
