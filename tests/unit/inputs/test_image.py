"""Pictures on their way into the network."""

import pytest
import torch

from mtl.inputs.image import ImageInput
from mtl.task import InputSpec


@pytest.mark.parametrize("shape", [(4, 3, 100), (3, 8, 8), (1, 3, 4, 8, 8)])
def test_values_that_are_no_pictures_are_refused_by_name(shape: tuple[int, ...]) -> None:
    part = ImageInput(InputSpec("photo", "image", channels=3))
    with pytest.raises(ValueError, match=r"input 'photo' is \[.*\]; images are \[B,C,H,W\]"):
        part({"photo": torch.zeros(shape)})
