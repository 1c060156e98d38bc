"""Recurrent layers as exporters can follow them: LSTM and GRU layers for sequences of any length.

PyTorch unrolls the steps of such layers when a graph is taken, so that a file would hold one length and one copy of the
layer for each step. An ONNX file gets the operators of these names, and a PyTorch file a loop.
Shapes: B samples, T steps, C channels of a step, H units, S states (hidden and cell, or hidden alone); G rows of the
gates, in the order of ONNX: input, output, forget, cell; update, reset, hidden.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.functional.sequence.step_scan import scan_steps

_Layer = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]  # one direction
_ORDER = {nn.LSTM: (0, 3, 1, 2), nn.GRU: (1, 0, 2)}  # of the gates of PyTorch


def with_open_lengths(model: nn.Module, as_operator: bool) -> None:
    """Replace the LSTM and GRU layers of a model that is about to be exported.

    Layers with projections stay as they are, and subclasses, which may do something else.

    Args:
        model: changed in place.
        as_operator: call operators that an ONNX file translates, and not a loop.
    """
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.LSTM | nn.GRU) and type(child) in _LOOPS and not child.proj_size:
                setattr(part, name, _Recurrent(child, as_operator))


def _lstm(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_2G: Tensor, start_SBH: Tensor
) -> tuple[Tensor, Tensor]:
    def step(state_2BH: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        hidden_BH, cell_BH = state_2BH.unbind()
        into_BH, out_BH, keep_BH, new_BH = (row[0] + hidden_BH @ recurrent_GH.T).chunk(4, 1)
        cell_BH = keep_BH.sigmoid() * cell_BH + into_BH.sigmoid() * new_BH.tanh()
        hidden_BH = out_BH.sigmoid() * cell_BH.tanh()
        return torch.stack((hidden_BH, cell_BH)), hidden_BH

    last_SBH, made_TBH = scan_steps(step, start_SBH, (F.linear(values_TBC, gates_GC, bias_2G.view(2, -1).sum(0)),))
    return made_TBH, last_SBH


def _gru(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_2G: Tensor, start_SBH: Tensor
) -> tuple[Tensor, Tensor]:
    of_values_G, of_hidden_G = bias_2G.view(2, -1)

    def step(state_1BH: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        before_BH = state_1BH[0]
        update_BH, reset_BH, new_BH = row[0].chunk(3, 1)
        own_BG = F.linear(before_BH, recurrent_GH, of_hidden_G).chunk(3, 1)
        new_BH = (new_BH + (reset_BH + own_BG[1]).sigmoid() * own_BG[2]).tanh()
        hidden_BH = torch.lerp(new_BH, before_BH, (update_BH + own_BG[0]).sigmoid())
        return hidden_BH[None], hidden_BH

    last_SBH, made_TBH = scan_steps(step, start_SBH, (F.linear(values_TBC, gates_GC, of_values_G),))
    return made_TBH, last_SBH


def _no_values(
    values_TBC: Tensor, gates_GC: Tensor, recurrent_GH: Tensor, bias_2G: Tensor, start_SBH: Tensor
) -> tuple[Tensor, Tensor]:
    return values_TBC.new_empty(*values_TBC.shape[:2], recurrent_GH.shape[1]), torch.empty_like(start_SBH)


_LOOPS: dict[type[nn.Module], _Layer] = {nn.LSTM: _lstm, nn.GRU: _gru}
_OPERATORS = {
    kind: torch.library.custom_op(f"mtl::{kind.__name__.lower()}", loop, mutates_args=())
    for kind, loop in _LOOPS.items()
}
for _operator in _OPERATORS.values():
    _operator.register_fake(_no_values)


class _Recurrent(nn.Module):
    """Takes and gives what `nn.LSTM` or `nn.GRU` does, without dropout between layers.

    Args:
        layer: whose weights are taken.
        as_operator: call the operator of one layer and direction, and not a loop.
    """

    def __init__(self, layer: nn.LSTM | nn.GRU, as_operator: bool) -> None:
        super().__init__()
        kind: type[nn.Module] = type(layer)
        self.batch_first, self.units, self.layers = layer.batch_first, layer.hidden_size, layer.num_layers
        self.has_cell = kind is nn.LSTM
        self.run: _Layer = _OPERATORS[kind] if as_operator else _LOOPS[kind]
        self.ends = ["", "_reverse"] if layer.bidirectional else [""]
        for index in range(layer.num_layers):
            for end in self.ends:
                own = f"_l{index}{end}"
                weights = {"gates": getattr(layer, f"weight_ih{own}"), "recurrent": getattr(layer, f"weight_hh{own}")}
                ordered = {name: _ordered(weight, kind) for name, weight in weights.items()}
                none_G = torch.zeros(len(ordered["gates"]))
                biases = [getattr(layer, f"bias_{of}{own}") if layer.bias else none_G for of in ("ih", "hh")]
                ordered["bias"] = torch.cat([_ordered(bias, kind) for bias in biases])
                for name, weight in ordered.items():
                    self.register_buffer(name + own, weight)

    def forward(
        self, values: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        values_TBC = values.transpose(0, 1) if self.batch_first else values
        zeros_BH = values_TBC.new_zeros(values_TBC.shape[1], self.units)
        states = (state,) if isinstance(state, Tensor) else state
        last, place = [], 0
        for index in range(self.layers):
            made = []
            for end in self.ends:
                own = f"_l{index}{end}"
                gates_GC, recurrent_GH, bias_2G = (getattr(self, kind + own) for kind in ("gates", "recurrent", "bias"))
                starts = [zeros_BH] * (1 + self.has_cell) if states is None else [one[place] for one in states]
                given_TBC = values_TBC.flip(0) if end else values_TBC
                made_TBH, last_SBH = self.run(given_TBC, gates_GC, recurrent_GH, bias_2G, torch.stack(starts))
                made.append(made_TBH.flip(0) if end else made_TBH)
                last.append(last_SBH)
                place += 1
            values_TBC = torch.cat(made, 2)
        ended = torch.stack(last, 1).unbind()
        return (values_TBC.transpose(0, 1) if self.batch_first else values_TBC), (ended if self.has_cell else ended[0])


def _ordered(weight: Tensor, kind: type[nn.Module]) -> Tensor:
    """The rows of a weight in the order of ONNX."""
    order = _ORDER[kind]
    gates = weight.detach().chunk(len(order))
    return torch.cat([gates[index] for index in order])
