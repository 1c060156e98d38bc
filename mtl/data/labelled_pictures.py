"""Picture files with labels of the whole picture, in memory as arrays: what simple benchmarks of classification are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.resize import FitMode, read_fitted


class LabelledPictures(Dataset[Sample]):
    """Pictures and their labels.

    Args:
        paths: the files, N of them.
        targets: labels by task, [N] or [N,C].
        image_size: height and width of the network's input.
        fit: how a picture is made to fit.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        targets: Mapping[str, NDArray[Any]],
        image_size: tuple[int, int],
        fit: FitMode = "stretch",
    ) -> None:
        self.paths = [str(path) for path in paths]
        self.targets = dict(targets)
        self.image_size = image_size
        self.fit = fit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        image, original, to_original = read_fitted(self.paths[index], self.image_size, self.fit)
        return {
            "image": tv_tensors.Image(image),
            "image_id": index,
            "orig_size": original,
            "to_original": to_original,
            **{name: torch.as_tensor(values[index]) for name, values in self.targets.items()},
        }
