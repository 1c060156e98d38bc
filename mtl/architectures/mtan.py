"""Multi-task attention network (MTAN): one trunk, and each task takes what it needs behind every stage by attention.

Source: Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019, arXiv:1803.10704: a_k^s =
sigmoid(BN W2 relu BN W1 [u_s, f(a_k^(s-1))]) * p_s. The paper taps every block twice, for u and p; a stage here is one
piece, so both are its output. f is a 3 x 3 convolution with norm, ReLU and max-pooling that in the paper's code all
tasks share, which its list of shared parameters leaves out. On sequences and vectors all layers are linear.
Shapes: K tasks, S stages.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.stages import as_features, as_states, begin, norm, pointwise, staged, without_stages
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, StagedBackbone, State, run_stages
from mtl.features import Features, Layout


class MTAN(Architecture):
    """One trunk, and attention of each task behind every stage.

    The cut is the outputs of the stages; each task has attention and what follows the stages (a pyramid) of its own.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        refine: whose layers carry attention on to the next stage: `private`, of each task, or `shared`, as in the
            paper; then shared parameters are used behind the cut, and gradients are balanced at the parameters.
        reduction: how many times narrower the layer inside of an attention is.

    Raises:
        ValueError: if the backbone is one piece.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        refine: Literal["private", "shared"] = "private",
        reduction: int = 4,
    ) -> None:
        super().__init__(backbone, names)
        trunk = staged(backbone, "MTAN", together=True)
        self.stages = nn.ModuleList(trunk.stages())
        self.levels, self.shared_after_cut = list(trunk.stage_spec.channels), refine == "shared"
        self.cut_spec = trunk.stage_spec
        widths, self.layouts = list(trunk.stage_spec.channels.values()), list(trunk.stage_spec.layouts.values())

        def refines() -> nn.ModuleList:
            pairs = zip(self.layouts, self.layouts[1:], widths, widths[1:], strict=False)
            return nn.ModuleList(_Refine(a, b, before, after) for a, b, before, after in pairs)

        for part in self.of_task.values():
            part.rest = without_stages(trunk, self.stages)
            part.attention = nn.ModuleList(
                _Attention(layout, width, width * (1 + bool(index)), max(1, width // reduction))
                for index, (layout, width) in enumerate(zip(self.layouts, widths, strict=True))
            )
            if refine == "private":
                part.refine = refines()
        if refine == "shared":
            self.refine = refines()

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        rest = self._rest(self.names[0])
        return as_features(run_stages(self.stages, begin(rest, prepared)), self.levels)

    def view(self, cut: Features, name: str) -> Features:
        of_task = self.of_task[name]
        outputs: list[State] = []
        refine = self.refine if self.shared_after_cut else of_task.get_submodule("refine")
        before: Tensor | None = None
        for index, (values, mask) in enumerate(as_states(cut, self.levels)):
            if outputs:
                before = refine.get_submodule(str(index - 1))(outputs[-1], values)
            attended = of_task.get_submodule(f"attention.{index}")(values, before) * values
            outputs.append((attended, mask))
        return whole(self._rest(name).finish(outputs))

    def _rest(self, name: str) -> StagedBackbone:
        rest = self.of_task[name].get_submodule("rest")
        assert isinstance(rest, StagedBackbone)
        return rest


class _Attention(nn.Module):
    def __init__(self, layout: Layout, width: int, read: int, hidden: int) -> None:
        super().__init__()
        self.axis = 1 if layout == "map" else -1
        self.first = nn.Sequential(pointwise(layout, read, hidden), norm(layout, hidden), nn.ReLU())
        self.second = nn.Sequential(pointwise(layout, hidden, width), norm(layout, width), nn.Sigmoid())

    def forward(self, values: Tensor, before: Tensor | None) -> Tensor:
        read = values if before is None else torch.cat((values, before), self.axis)
        out: Tensor = self.second(self.first(read))
        return out


class _Refine(nn.Module):
    """Attention of one stage in the width and size of the next."""

    def __init__(self, layout: Layout, after_layout: Layout, before: int, after: int) -> None:
        super().__init__()
        self.layout, self.after_layout = layout, after_layout
        layer = nn.Conv2d(before, after, 3, padding=1) if layout == "map" else pointwise(layout, before, after)
        self.layers = nn.Sequential(layer, norm(layout, after))

    def forward(self, state: State, like: Tensor) -> Tensor:
        values, _ = state
        out: Tensor = self.layers(values)
        if self.layout == "map" == self.after_layout:
            # the largest value first, and ReLU of what is left: the same, on a quarter of the cells
            return F.adaptive_max_pool2d(out, like.shape[-2:]).relu()
        if self.layout != self.after_layout or out.shape[:-1] != like.shape[:-1]:
            raise ValueError(
                f"MTAN carries attention from a {self.layout} {tuple(values.shape)} on to a {self.after_layout} "
                f"{tuple(like.shape)}, which only maps can; take a backbone whose stages keep their layout and length."
            )
        return out.relu()
