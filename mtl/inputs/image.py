"""Images: uint8 or float pixels of any number of channels, normalised on the device.

Shapes: B samples, C channels, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl.inputs.input import Input
from mtl.task import InputSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_EXAMPLE_PX = 64


class ImageInput(Input):
    """Subtracts a mean from images in 0..1, and divides by a standard deviation.

    Args:
        spec: the input; its `channels` are the images'.
        mean: mean of every channel of an image in 0..1; ImageNet's for three channels, else 0.5.
        std: standard deviation of every channel; ImageNet's for three channels, else 0.25.
        channels_last: keep images and filters channels-last in memory; faster on CPUs and on GPUs with tensor cores.

    Raises:
        ValueError: if there are not as many numbers as channels, or a deviation is not above 0.
    """

    kind = "image"
    unrepeatable = True
    form = "pixels (uint8 in 0..255 or float in 0..1, [C,H,W])"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        spec: InputSpec,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__(spec)
        three = spec.channels == 3
        mean = mean or (IMAGENET_MEAN if three else [0.5] * spec.channels)
        std = std or (IMAGENET_STD if three else [0.25] * spec.channels)
        if len(mean) != spec.channels or len(std) != spec.channels or min(std) <= 0:
            raise ValueError(
                f"input {spec.name!r} has {spec.channels} channels; mean={list(mean)} and std={list(std)} must be as "
                "many numbers, std above 0."
            )
        self.channels_last = channels_last
        # not persistent: they are settings, and a checkpoint keeps settings elsewhere
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        tensors = [torch.as_tensor(value) for value in values]
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(shapes) > 1:
            raise ValueError(
                f"images of one batch differ in size: {sorted(shapes)}. "
                "Set `image_size` of the data module, or end your own transform with a resize to one size."
            )
        if len(tensors[0]) != spec.channels:
            raise ValueError(
                f"input {spec.name!r} is declared with {spec.channels} channels; the images have {len(tensors[0])}."
            )
        # tv_tensors stack to plain tensors, which is what heads expect
        return {spec.name: torch.stack([tensor.as_subclass(Tensor) for tensor in tensors])}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        pixels = rng.integers(256, size=(spec.channels, _EXAMPLE_PX, _EXAMPLE_PX), dtype=np.uint8)
        return torch.from_numpy(pixels)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        image = batch[self.spec.name]
        if image.ndim != 4:
            raise ValueError(
                f"input {self.spec.name!r} is {list(image.shape)}; images are [B,C,H,W]. Declare values of another "
                "form with another kind of input, for example tokens, audio, columns, or your own subclass of Input."
            )
        if self.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        if image.dtype == torch.uint8:
            image = image.to(self.mean.dtype) / 255
        return {self.spec.name: (image - self.mean) / self.std}


def image_of(inputs: nn.ModuleDict | Mapping[str, InputSpec]) -> str | None:
    """Name of the first input that is an image, for pictures; None without one.

    Args:
        inputs: the inputs of a model or of a data module, by name.
    """
    specs = {name: part.spec if isinstance(part, Input) else part for name, part in inputs.items()}
    return next((name for name, spec in specs.items() if spec.kind == ImageInput.kind), None)
