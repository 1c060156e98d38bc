"""`FolderSet`: the samples of one split of picture files, from arrays of annotations.

Shapes: N pictures, H x W pixels of the network's input, C classes.
"""

import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import IGNORE_INDEX, Sample
from mtl.data.deep_pixels import PixelRange
from mtl.data.folder.annotations import Annotations
from mtl.data.folder.map_files import MapFiles
from mtl.data.images import read_image
from mtl.data.resize import FitMode, boxes_from_original, fit_geometry, fit_image

log = logging.getLogger(__name__)
_GIB = 2**30


class FolderSet(Dataset[Sample]):
    """Samples with boxes, image-level labels and maps; what is not labelled is left out of the sample.

    Args:
        annotations: pictures and boxes.
        targets: image-level labels by task: int64 [N] (-100 = missing), float32 [N] or [N,C] (NaN = missing).
        image_size: height and width of the network's input.
        fit: how a picture is made to fit.
        cache: decode and keep all pictures now.
        max_pixels: most pixels of a picture; `mtl.data.images.MAX_PIXELS` by default.
        maps: how the maps of each task are stored.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white.
    """

    def __init__(
        self,
        annotations: Annotations,
        targets: Mapping[str, NDArray[Any]],
        image_size: tuple[int, int],
        fit: FitMode = "letterbox",
        cache: bool = False,
        max_pixels: int | None = None,
        maps: Mapping[str, MapFiles] | None = None,
        pixel_range: PixelRange | None = None,
    ) -> None:
        self.annotations = annotations
        self.targets = dict(targets)
        self.image_size = image_size
        self.fit = fit
        self.max_pixels = max_pixels
        self.maps = dict(maps or {})
        self.pixel_range = pixel_range
        self.images = self._read_all() if cache else None

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:
        original = self._original(index)
        to_original = fit_geometry(original, self.image_size, self.fit)[2]
        image = self.images[index] if self.images is not None else self._read(index)
        sample: Sample = {
            "image": tv_tensors.Image(image),
            "image_id": index,
            "orig_size": torch.tensor(original),
            "to_original": to_original,
        }
        if self.annotations.annotated[index]:
            rows = slice(*self.annotations.offsets[index : index + 2])
            boxes = boxes_from_original(torch.from_numpy(self.annotations.boxes[rows]), to_original)
            sample["boxes"] = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=self.image_size)
            sample["box_labels"] = torch.from_numpy(self.annotations.labels[rows])
        for name, values in self.targets.items():
            value = values[index]
            if not (value == IGNORE_INDEX if values.dtype == np.int64 else np.isnan(value).any()):
                sample[name] = torch.as_tensor(value)
        for name, files in self.annotations.maps.items():
            if path := files[index].decode():
                sample[name] = self.maps[name].read(path, self.image_size, self.fit, self.max_pixels)
        return sample

    def name(self, index: int) -> str:
        """Name of a picture.

        Args:
            index: index of the picture (`image_id`).
        """
        return str(self.annotations.names[index].decode())

    def path(self, index: int) -> str:
        """File of a picture.

        Args:
            index: index of the picture.
        """
        return str(self.annotations.paths[index].decode())

    def _original(self, index: int) -> tuple[int, int]:
        height, width = self.annotations.sizes[index].tolist()
        return height, width

    def _read(self, index: int) -> Tensor:
        original = self._original(index)
        resized = fit_geometry(original, self.image_size, self.fit)[0]
        image = read_image(self.path(index), resized, self.max_pixels, self.pixel_range)
        return fit_image(image, self.image_size, self.fit, original)[0]

    def _read_all(self) -> Tensor:
        # one tensor: forked workers share its pages, spawned workers its shared memory
        images = torch.empty(len(self), 3, *self.image_size, dtype=torch.uint8)
        if images.numel() > _GIB:
            log.warning("the cache of %d pictures uses %.1f GiB of memory", len(self), images.numel() / _GIB)

        def read(index: int) -> None:
            images[index] = self._read(index)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(read, range(len(self))))
        return images
