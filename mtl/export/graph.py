"""The graph of an `ExportableModel`, with an open batch; what every file format is written from.

Shapes: B samples, T steps.
"""

import copy
import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtl.export.exportable import ExportableModel
from mtl.export.recurrent import with_open_lengths
from mtl.features import MASK

log = logging.getLogger(__name__)
LENGTH = 64  # steps of a sequence where the network fixes it and nothing else is asked for


def graph_of(
    model: ExportableModel,
    dynamic_size: bool = False,
    max_lengths: Mapping[str, int] | None = None,
    as_operators: bool = False,
) -> torch.export.ExportedProgram:
    """The graph of a model; the batch is left open, and lengths of sequences where the trunk can.

    Args:
        model: the model.
        dynamic_size: leave height and width of images open too.
        max_lengths: steps of the sequences and their masks by name, for trunks that cannot leave them open; 64.
        as_operators: LSTM and GRU layers are operators that an ONNX file translates, and not loops.
    """
    model = copy.deepcopy(model)
    with_open_lengths(model, as_operators)
    example = model.example(3)
    try:
        return _graph(model, example, dynamic_size, "any")
    except torch._dynamo.exc.UserError:
        if not sequences(example):
            raise
    if (found := _of_some_lengths(model, example, dynamic_size)) is not None:
        return found
    # loops in Python are unrolled: sequences get one length, and shorter ones are padded to it
    lengths = {name: (max_lengths or {}).get(name, LENGTH) for name in sequences(example)}
    of_inputs = ", ".join(f"{name} {length}" for name, length in lengths.items() if not name.endswith(MASK))
    log.warning("the network cannot leave the length of sequences open; steps that its file takes: %s", of_inputs)
    cut = {name: example[name][:, :length] for name, length in lengths.items()}
    return _graph(model, padded({**example, **cut}, lengths), dynamic_size, "one")


def _of_some_lengths(
    model: ExportableModel, example: Mapping[str, Tensor], dynamic_size: bool
) -> torch.export.ExportedProgram | None:
    """The graph of a network whose lengths have a bound, as a transformer's with a table of positions; else None."""
    try:
        program = _graph(model, example, dynamic_size, "some")
    except torch._dynamo.exc.UserError:
        return None
    taken = [node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    shapes = {name: value.shape for name, value in zip(example, taken, strict=True)}
    # a size that is fixed is a symbol whose text is a number
    return None if any(str(shapes[name][1]).isdecimal() for name in sequences(example)) else program


def _graph(
    model: ExportableModel,
    example: Mapping[str, Tensor],
    dynamic_size: bool,
    lengths: Literal["any", "some", "one"],
) -> torch.export.ExportedProgram:
    """The graph of a model. A size that the model fixes is an error; the ONNX exporter alone would fix it silently.

    With `some` lengths PyTorch finds their bounds, or fixes them without an error.
    """
    batch = torch.export.Dim("batch", min=1, max=4096)
    sizes: dict[str, Any] = {}
    open_dimensions = model.open_dimensions()
    shapes = []
    for name, value in example.items():
        dims: dict[int, Any] = {0: batch}
        if name in model.images and (dynamic_size or model.resize_inside):
            dims |= {value.ndim - 2: torch.export.Dim.AUTO, value.ndim - 1: torch.export.Dim.AUTO}
        for dim, (size, multiple) in open_dimensions.get(name, {}).items():
            is_length = size.endswith("_length")
            if is_length and lengths == "some":
                dims[dim] = torch.export.Dim.AUTO
            elif lengths == "any" or not is_length:
                one = sizes.setdefault(size, torch.export.Dim(size, min=1, max=1 << 20))
                dims[dim] = one if multiple == 1 else multiple * one
        shapes.append(dims)
    # Loops over steps are compiled for themselves, and what is kept of an earlier graph is compared with the sizes of
    # this one: with one size in common that size would be fixed. Other compiled networks compile again.
    torch.compiler.reset()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes")  # of copies that recurrent layers make of weights
        return torch.export.export(
            model, tuple(example.values()), dynamic_shapes={"inputs": tuple(shapes)}, strict=False
        )


def sequences(inputs: Iterable[str]) -> list[str]:
    """Names of the inputs that have a length, and of their masks.

    Args:
        inputs: names.
    """
    names = list(inputs)
    return [name for name in names if f"{name.removesuffix(MASK)}{MASK}" in names]


def padded(inputs: Mapping[str, Tensor], lengths: Mapping[str, int]) -> dict[str, Tensor]:
    """Inputs whose sequences have the lengths that a file takes.

    Args:
        inputs: by name.
        lengths: in steps, by the names of the inputs and masks that are padded.

    Raises:
        ValueError: if one is longer.
    """
    made = dict(inputs)
    for name, length in lengths.items():
        steps = made[name].shape[1]
        if steps > length:
            raise ValueError(
                f"input {name!r} has {steps} steps, and the file takes {length}: its network cannot leave the length "
                f"open. Export with --max-length {steps} or more."
            )
        made[name] = nn.functional.pad(made[name], [0] * (2 * made[name].ndim - 3) + [length - steps])
    return made
