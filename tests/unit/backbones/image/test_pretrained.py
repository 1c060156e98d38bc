"""A trained run is rebuilt without its pretrained weights, so without a network; its layers are the same."""

from typing import Any

import pytest
from torchvision.models import WeightsEnum, googlenet

from mtl.backbones.image.torchvision_network import build_network
from mtl.backbones.pretrained import pretrained_wanted, without_pretrained


def no_network(*_: Any, **__: Any) -> Any:
    raise OSError("no network")


def test_no_weights_are_asked_for_where_a_checkpoint_replaces_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsEnum, "get_state_dict", no_network)
    with pytest.raises(RuntimeError, match="cannot be downloaded"):
        build_network("resnet18", "DEFAULT")
    with without_pretrained():
        assert not pretrained_wanted()
        assert sum(1 for _ in build_network("resnet18", "DEFAULT").parameters()) == 62
        with pytest.raises(ValueError, match="has no weights 'DEFAUTL'"):
            build_network("resnet18", "DEFAUTL")
    assert pretrained_wanted()
    with without_pretrained(False):
        assert pretrained_wanted()


def test_layers_are_those_of_the_pretrained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with without_pretrained():
        found = build_network("googlenet", "DEFAULT")
    weights = googlenet(weights=None, init_weights=False).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: weights)
    expected = build_network("googlenet", "DEFAULT")
    assert found.state_dict().keys() == expected.state_dict().keys()
    assert found.transform_input == expected.transform_input
