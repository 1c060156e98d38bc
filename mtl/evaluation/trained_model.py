"""`TrainedModel`: what `load_run` gives: the module of training, which also predicts pictures of any size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import rgb_to_grayscale, to_image

from mtl.data.deep_pixels import DEEP_MODES, PixelRange
from mtl.data.resize import FitMode, fit_image, read_fitted
from mtl.evaluation.predictions.predictor import predictor_of
from mtl.module import MultiTaskLightningModule
from mtl.targets.overlay import Overlay
from mtl.targets.target import target_of

Picture = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


class TrainedModel(MultiTaskLightningModule):
    """A trained model that predicts pictures.

    `image_size` (height and width of the network's input), `fit` and `pixel_range` are as in training, where the run
    says them.
    """

    image_size: tuple[int, int] | None = None
    fit: FitMode = "letterbox"
    pixel_range: PixelRange | None = None

    def predict(
        self, images: Picture | Sequence[Picture], min_score: float = 0.3, batch_size: int = 16
    ) -> list[dict[str, Overlay]]:
        """Predict pictures of any size.

        Args:
            images: one picture or several: files, PIL pictures, arrays [H,W,3], or tensors [3,H,W], uint8.
            min_score: boxes below it are left out, 0 to 1.
            batch_size: pictures at a time.

        Returns:
            For each picture and task: `predicted` is a shape in pixels of the picture (`.boxes`, `.labels`, `.scores`
            for boxes), `answer` is what is said in words (`.predicted`, `.score`).

        Raises:
            ValueError: for a picture that cannot be read, and a model of anything but pictures.
        """
        one = isinstance(images, str | Path | Image.Image | np.ndarray) or (
            isinstance(images, Tensor) and images.ndim == 3
        )
        listed: list[Picture] = [images] if one else list(images)  # type: ignore[list-item, arg-type]
        if self.image_size is None:
            raise ValueError(
                "the size of the network's input is not known: the run has no config.yaml that says it. Set "
                "model.image_size = (height, width), as in training."
            )
        if batch_size < 1 or not 0 <= min_score <= 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1 and min_score={min_score} within 0..1.")
        parts = [listed[start : start + batch_size] for start in range(0, len(listed), batch_size)]
        return [found for part in parts for found in self._batch(part, min_score)]

    def _batch(self, images: Sequence[Picture], min_score: float) -> Iterator[dict[str, Overlay]]:
        assert self.image_size is not None
        read = [self._read(image, self.image_size) for image in images]
        predictor = predictor_of(self)
        stacked = torch.stack([image for image, _, _ in read])
        with predictor.ready():
            found = predictor.predict(rgb_to_grayscale(stacked) if predictor.channels == 1 else stacked)
        for index, (_, size, to_original) in enumerate(read):
            height, width = size.tolist()
            shown = {
                name: target_of(predictor.tasks[name]).overlay(values, index, None, min_score)
                for name, values in found.items()
            }
            yield {name: overlay.in_file(to_original, height, width) for name, overlay in shown.items()}

    def _read(self, image: Picture, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """The picture on the canvas of the network, its height and width, and `to_original`."""
        if isinstance(image, str | Path):
            return read_fitted(image, size, self.fit, None, self.pixel_range)
        if isinstance(image, Image.Image) and image.mode in DEEP_MODES:
            raise ValueError(
                f"a PIL picture of mode {image.mode!r} has more than 8 bits, which a conversion to RGB would cut off. "
                "Give its file, which is read as in training, or uint8 pixels."
            )
        pixels = image.convert("RGB") if isinstance(image, Image.Image) else image
        values = torch.as_tensor(pixels) if isinstance(pixels, Tensor) else to_image(pixels).as_subclass(Tensor)
        if values.dtype != torch.uint8 or values.ndim != 3 or values.shape[0] != 3:
            raise ValueError(
                f"a picture is {values.dtype} {list(values.shape)}; expected uint8: an array [H,W,3], a tensor [3,H,W]."
            )
        canvas, to_original = fit_image(values, size, self.fit)
        return canvas, torch.tensor(values.shape[1:]), to_original
