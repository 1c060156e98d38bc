"""The levels of a trunk: what its stages give and what passes to the heads, to be read or edited.

Stages are levels only where the trunk runs them once for all tasks; otherwise the tensors of the cut are.
Shapes: B samples, N cells or steps, C channels, M rows of all samples that are no padding.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone
from mtl.batch import Batch
from mtl.features import Layout, as_rows, mask_of
from mtl.heads.head import Outputs
from mtl.model import MultiTaskModel

Edit = Callable[[Tensor], Tensor]  # rows [B,N,C] -> rows [B,N,C]
CUT = "cut "


@dataclass
class Pass:
    """One pass through a model.

    Attributes:
        values: each level as rows [B,N,C].
        masks: which rows are real [B,N], where some are padding.
        outputs: raw outputs of each head.
        made: what the network read in place of its own tensors.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    masks: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Outputs] = field(default_factory=dict)
    made: list[Tensor] = field(default_factory=list)

    def keep(self, name: str, layout: Layout, mask: Tensor | None, edits: Mapping[str, Edit], values: Tensor) -> None:
        """Keep a level, and make the tensor that the network reads from now on.

        Args:
            name: of the level.
            layout: of the values.
            mask: which cells are real, where some are padding.
            edits: what replaces rows, by level.
            values: what the network made.
        """
        if torch.is_grad_enabled() and not values.requires_grad:
            values = values.detach().requires_grad_()  # behind frozen stages, and the row of a table
        rows = as_rows(values, layout)
        if name in edits:
            rows = edits[name](rows)
        self.values[name] = rows
        if mask is not None and layout != "vector":
            self.masks[name] = mask.flatten(1)
        # the network must read these very rows, or they would get no gradient
        if layout == "map":
            self.made.append(rows.transpose(1, 2).reshape(values.shape))
        else:
            self.made.append(rows if layout == "sequence" else rows[:, 0])

    def real(self, level: str) -> Tensor:
        """The rows of a level that are no padding [M,C].

        Args:
            level: its name.
        """
        return self.values[level][self.masks[level]] if level in self.masks else self.values[level].flatten(0, 1)


def run(model: MultiTaskModel, batch: Batch, edits: Mapping[str, Edit] | None = None) -> Pass:
    """Run a model and keep its levels.

    Args:
        model: the model.
        batch: its inputs.
        edits: what replaces the rows of a level, by its name.
    """
    found, edits = Pass(), edits or {}
    with _watched(model, found, edits):
        cut = model.cut(batch)
    spec = model.trunk.cut_spec
    for level in spec.channels:
        if level not in cut or not cut[level].is_floating_point() or any(cut[level] is made for made in found.made):
            continue  # what the last stage gives is one level, not two
        found.keep(CUT + level, spec.layouts[level], mask_of(cut, level), edits, cut[level])
        cut[level] = found.made[-1]
    for name in model.heads:
        found.outputs[name] = model.outputs(name, cut)
    return found


def stages_of(model: MultiTaskModel) -> tuple[list[nn.Module], list[Layout]]:
    """The stages that all tasks share and their layouts; none, where a trunk runs once for each task.

    Args:
        model: the model.
    """
    staged = [part for part in model.trunk.modules() if isinstance(part, StagedBackbone)]
    if len(staged) != 1 or model.trunk.shared_after_cut:
        return [], []
    stages = list(staged[0].stages())
    return stages, list(staged[0].stage_spec.layouts.values())[: len(stages)]


@contextmanager
def evaluating(model: MultiTaskModel) -> Iterator[None]:
    """The model in evaluation mode, and afterwards in the mode it had.

    Args:
        model: the model.
    """
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def _watched(model: MultiTaskModel, found: Pass, edits: Mapping[str, Edit]) -> Iterator[None]:
    with ExitStack() as stack:
        for index, (stage, layout) in enumerate(zip(*stages_of(model), strict=True)):
            hook = stage.register_forward_hook(_hook(f"stage {index}", layout, found, edits))
            stack.callback(hook.remove)
        yield


def _hook(name: str, layout: Layout, found: Pass, edits: Mapping[str, Edit]) -> Callable[..., Any]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        values, mask = output if isinstance(output, tuple) else (output, None)
        found.keep(name, layout, mask, edits, values)
        return (found.made[-1], mask) if isinstance(output, tuple) else found.made[-1]

    return hook
