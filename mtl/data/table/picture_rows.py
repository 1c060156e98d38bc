"""`PictureRows`: the rows of one split with a picture each, which is read when it is needed.

Shapes: N rows, C numbers of a row.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.batch import Sample
from mtl.data.folder.annotations import Annotations
from mtl.data.folder.folder_set import FolderSet
from mtl.data.images import read_header
from mtl.data.split_leaks import SampleSource
from mtl.data.table.module import INPUT
from mtl.task import Inputs


class PictureRows(FolderSet):
    """Samples with a picture, the numbers of a row and its labels, without what the row lacks.

    Args:
        names: what people know each row by, N of them.
        paths: the file of each row; None where there is no picture.
        targets: labels by task as `ImageLabels.empty` makes them, [N] or [N,K].
        image_size: height and width of the network's input.
        values: numbers of each row, [N,C]; None without columns of numbers.
        empty: rows whose numbers are left out, [N].
        subgroups: for each column of subgroups the name of each row's group.
        **kwargs: `fit`, `cache`, `max_pixels` and `pixel_range` of `FolderSet`.
    """

    def __init__(
        self,
        names: Sequence[str],
        paths: Sequence[Path | None],
        targets: Mapping[str, NDArray[Any]],
        image_size: tuple[int, int],
        values: NDArray[np.float32] | None,
        empty: NDArray[np.bool_],
        subgroups: Mapping[str, list[str]],
        **kwargs: Any,
    ) -> None:
        headers = [path and read_header(path, kwargs.get("max_pixels")) for path in paths]
        known = [(header.height, header.width) for header in headers if header]
        # a row without a picture gets the usual size, so that no check calls it odd
        usual = tuple(np.median(known, 0).astype(int).tolist()) if known else image_size
        annotations = Annotations(
            names=np.array([name.encode() for name in names]),
            paths=np.array([str(path or "").encode() for path in paths]),
            maps={},
            sizes=np.array([(header.height, header.width) if header else usual for header in headers], np.int64),
            annotated=np.zeros(len(names), bool),
            offsets=np.zeros(len(names) + 1, np.int64),
            boxes=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
        )
        self.values = None if values is None else torch.from_numpy(values)
        self.empty = empty
        self.subgroups = dict(subgroups)
        super().__init__(annotations, targets, image_size, **kwargs)

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if not self.path(index):
            del sample["image"]
        if self.values is not None and not self.empty[index]:
            sample[INPUT] = self.values[index]
        return sample

    def sample_sources(self, inputs: Inputs) -> list[SampleSource | None]:
        """The picture file of each row, None where there is none.

        Args:
            inputs: of the samples.
        """
        paths = [file.decode() for file in self.annotations.paths]
        return [SampleSource(path, Path(path).name, exact=True) if path else None for path in paths]

    def _read(self, index: int) -> Tensor:
        if not self.path(index):
            return torch.zeros(3, *self.image_size, dtype=torch.uint8)
        return super()._read(index)
