"""LSTM and GRU layers that are replaced for a file give what they gave, and the length of sequences stays open."""

from typing import Any

import pytest
import torch
from torch import nn

from mtl.export.recurrent import with_open_lengths


class Both(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, **arguments: Any) -> None:
        super().__init__()
        self.layer = kind(5, 4, **arguments)

    def forward(self, values: torch.Tensor) -> Any:
        return self.layer(values)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("as_operator", [True, False])
@pytest.mark.parametrize(
    "arguments", [{"batch_first": True}, {"num_layers": 2, "bidirectional": True}, {"bias": False}]
)
def test_outputs_and_states_are_those_of_the_layer(
    arguments: dict[str, Any], as_operator: bool, kind: type[nn.RNNBase]
) -> None:
    torch.manual_seed(0)
    model, values = Both(kind, **arguments), torch.randn(7, 3, 5)
    with torch.no_grad():
        wanted, states = model(values)
        with_open_lengths(model, as_operator)
        assert not isinstance(model.layer, nn.RNNBase)
        found, ended = model(values)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(ended, states)


def test_a_state_to_begin_with_is_used() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(5, 4, bidirectional=True)
    model, values = nn.Sequential(layer), torch.randn(2, 3, 5)
    start = (torch.randn(2, 3, 4), torch.randn(2, 3, 4))
    with_open_lengths(model, as_operator=False)
    torch.testing.assert_close(model[0](values, start), layer(values, start))


def test_a_gru_begins_with_a_state_as_well() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(5, 4, bidirectional=True)
    model, values, start = nn.Sequential(layer), torch.randn(2, 3, 5), torch.randn(2, 3, 4)
    with_open_lengths(model, as_operator=False)
    torch.testing.assert_close(model[0](values, start), layer(values, start))


def test_a_layer_with_projections_stays_as_it_is() -> None:
    model = Both(proj_size=2)
    with_open_lengths(model, as_operator=True)
    assert isinstance(model.layer, nn.LSTM)
