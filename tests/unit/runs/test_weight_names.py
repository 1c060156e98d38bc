"""Names of a file beside names of a module: with words before them, with stages between them."""

import pytest
import torch
from torch import Tensor

from mtl.runs.weight_names import matched_names


def tensors(**shapes: int) -> dict[str, Tensor]:
    return {name.replace("__", "."): torch.zeros(size) for name, size in shapes.items()}


OWN = tensors(
    network__0__body__conv1=3,
    network__0__body__layer1__0__conv1=4,
    network__1__body__layer2__0__conv1=5,
    top__0__conv1=3,
)


@pytest.mark.parametrize("before", ["", "module.", "net.encoder."])
def test_names_of_a_network_are_found_in_all_its_stages(before: str) -> None:
    inner = ("conv1", "layer1.0.conv1", "layer2.0.conv1")
    stored = {before + name: torch.zeros(size) for name, size in zip(inner, (3, 4, 5), strict=True)}
    stored |= {before + "fc.weight": torch.zeros(9)}
    found = matched_names(OWN, stored)
    assert found == dict(zip(list(OWN)[:3], (before + name for name in inner), strict=True))


def test_a_name_that_stands_in_many_places_is_taken_once() -> None:
    own = tensors(blocks__0__0=3, blocks__1__0=3, blocks__2__0=4)
    assert matched_names(own, {"0": torch.zeros(4)}) == {"blocks.2.0": "0"}
    assert matched_names(own, {"0": torch.zeros(7)}) == {}


def test_no_common_end_is_no_match() -> None:
    assert matched_names(OWN, tensors(layer3__0__conv2=4)) == {}
