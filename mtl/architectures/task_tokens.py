"""Task tokens: one more token for each task runs through all blocks, and says which cells its task looks at.

Source: Ye, Xu, "TaskPrompter: Spatial-Channel Multi-Task Prompting for Dense Scene Understanding", ICLR 2023: [x;
t_1 .. t_K] run through the blocks of a transformer, and features are decoded by the affinity of token and cell. In
small: one affinity at the end, F <- 2 sigmoid(q_k(t_k) . F / sqrt(C)) * F.
Shapes: B samples, K tasks, T steps, C channels.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.stages import begin, by_channel, join, staged
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone, State, run_stage, run_stages
from mtl.features import Features, FeatureSpec


class TaskTokens(Architecture):
    """A trunk over sequences with one more step for each task, and features weighed by it.

    The cut is the levels of the trunk and the tokens; a task reads all levels and its own token.

    Args:
        backbone: the trunk, in stages that are sequences, such as a vision transformer.
        names: names of the tasks.

    Raises:
        ValueError: if the backbone is one piece, or a stage of it is no sequence.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        super().__init__(backbone, names)
        self.backbone = staged(backbone, "TaskTokens")
        spec = self.backbone.stage_spec
        layouts = set(spec.layouts.values())
        if layouts != {"sequence"}:
            raise ValueError(
                f"TaskTokens adds steps to sequences, and the stages of {type(backbone).__name__} are "
                f"{' and '.join(sorted(layouts))}s. Take a transformer, such as TimmBackbone with a vision transformer."
            )
        widths = list(spec.channels.values())
        self.places = list(names)
        self.tokens = nn.Parameter(0.02 * torch.randn(len(names), widths[0]))
        for part in self.of_task.values():
            part.query = nn.ModuleDict(
                {f"{level}_": nn.Linear(widths[-1], width) for level, width in self.spec.channels.items()}
            )
        tokens = [f"token/{name}" for name in names]
        self.cut_spec = join(
            self.spec, FeatureSpec(dict.fromkeys(tokens, widths[-1]), layouts=dict.fromkeys(tokens, "vector"))
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        first, *rest = self.backbone.stages()
        values, mask = run_stage(first, begin(self.backbone, prepared))
        number = len(self.places)
        tokens = self.tokens.to(values.dtype).expand(values.shape[0], -1, -1)
        longer = None if mask is None else torch.cat((mask.new_ones(mask.shape[0], number), mask), 1)
        outputs = run_stages(rest, (torch.cat((tokens, values), 1), longer))
        # the tokens stand in front of the others, whose padding is at the end
        states: list[State] = [(values, mask), *((out[:, number:], mask) for out, _ in outputs)]
        last = outputs[-1][0]
        return self.backbone.finish(states) | {f"token/{name}": last[:, k] for k, name in enumerate(self.places)}

    def view(self, cut: Features, name: str) -> Features:
        out = {key: value for key, value in cut.items() if not key.startswith("token/")}
        for level, width in self.spec.channels.items():
            layout = self.spec.layouts[level]
            query_BC = self.of_task[name].get_submodule(f"query.{level}_")(cut[f"token/{name}"])
            product = out[level] * by_channel(query_BC, layout)
            affinity = product.sum(1 if layout == "map" else -1, keepdim=True) / math.sqrt(width)
            out[level] = 2 * affinity.sigmoid() * out[level]
        return whole(out)
