"""PyTorch files (`.pt2`): the graph of `torch.export` with its weights, for programs that lack `mtl`."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.errors import printable
from mtl.export.exportable import ExportableModel
from mtl.export.file_model import FileModel
from mtl.export.graph import graph_of

_DESCRIPTION, _NAMES = "mtl.json", "names.json"


def write_pt2(
    model: ExportableModel,
    path: Path,
    dynamic_size: bool = False,
    description: Mapping[str, Any] | None = None,
    max_lengths: Mapping[str, int] | None = None,
) -> None:
    """Write one file; the batch size is left open.

    Args:
        model: the model.
        path: the file to write.
        dynamic_size: leave height and width of images open too.
        description: plain data that is kept in the file, for programs that read it.
        max_lengths: steps of the sequences and their masks by name, for trunks that cannot leave them open.
    """
    program = graph_of(model, dynamic_size, max_lengths)
    taken = [node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    names = {
        "inputs": model.input_names,
        "outputs": model.output_names,
        "shapes": [[size if type(size) is int else None for size in value.shape] for value in taken],
        "floats": [name for name, value in zip(model.input_names, taken, strict=True) if value.is_floating_point()],
    }
    texts = {_DESCRIPTION: json.dumps({"steps": model.in_steps, **(description or {})}), _NAMES: json.dumps(names)}
    torch.export.save(program, path, extra_files=texts)


class Pt2Model(FileModel):
    """An exported model in PyTorch.

    Args:
        path: the file.

    Raises:
        ValueError: if the file cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        texts = {_DESCRIPTION: "", _NAMES: ""}
        try:
            with warnings.catch_warnings():  # PyTorch 2.11 warns of buffers that it must not write
                warnings.simplefilter("ignore")
                self.program = torch.export.load(path, extra_files=texts).module()
            names, description = json.loads(texts[_NAMES]), json.loads(texts[_DESCRIPTION])
        except Exception as error:  # the zip, the schema and the operators each raise classes of their own
            raise ValueError(f"{str(path)!r} is no .pt2 file of `export`: {printable(str(error))}") from error
        shapes = dict(zip(names["inputs"], names["shapes"], strict=True))
        super().__init__(names["inputs"], names["outputs"], shapes, description, names.get("floats", ()))

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        found: Sequence[Tensor] = self.program(*(inputs[name] for name in self.input_names))
        return found
