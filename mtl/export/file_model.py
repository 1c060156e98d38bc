"""`FileModel`: an exported file that answers as the model does, whatever its format.

Shapes: B samples, T steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.export.graph import padded, sequences


class FileModel(ABC):
    """Inputs by name to outputs by name. A file that fixes the length of sequences gets them padded.

    Args:
        input_names: in the order of the file.
        output_names: in the order of the file.
        shapes: of the inputs, by name; a dimension that is left open is no int.
        description: what was written into the file.
        floats: inputs of floating point; images of uint8 are divided by 255 for them.
    """

    def __init__(
        self,
        input_names: Sequence[str],
        output_names: Sequence[str],
        shapes: Mapping[str, Sequence[Any]],
        description: dict[str, Any],
        floats: Collection[str] = (),
    ) -> None:
        self.floats = floats
        self.input_names, self.output_names = list(input_names), list(output_names)
        self.lengths = {n: shapes[n][1] for n in sequences(input_names) if type(shapes[n][1]) is int}  # that are fixed
        self.description = description

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """The outputs in order, of inputs that have the shapes of the file.

        Args:
            inputs: by name.
        """

    def __call__(self, inputs: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> dict[str, Tensor]:
        """The outputs by name.

        Args:
            inputs: by name.
        """
        given = {name: torch.as_tensor(inputs[name]) for name in self.input_names}
        for name, value in given.items():
            if value.dtype == torch.uint8 and name in self.floats:
                given[name] = value.float() / 255
        fed = padded(given, self.lengths)
        outputs = dict(zip(self.output_names, self.run(fed), strict=True))
        for name, owner in self.description.get("steps", {}).items():
            outputs[name] = outputs[name][:, : given[owner].shape[1]]
        return outputs
