"""Adapters: one trunk that runs once for each task, with a small layer of the task's own behind every stage.

Source: Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", ICML 2019: x <- x + U relu(D x) with a narrow
D and U = 0 at the start; on maps both are 1 x 1 convolutions.
Shapes: K tasks.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.architectures.parts.stages import pointwise
from mtl.backbones.backbone import Backbone, State
from mtl.features import Layout


class Adapters(PassPerTask):
    """The trunk runs once for each task, with adapters behind its stages: one that all share, and the task's own.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        width: channels inside of an adapter.
        shared: whether there is an adapter behind each stage that all tasks use.
        freeze: the trunk itself does not learn; for a pretrained one.
        own_norms: every batch norm that runs once a task is the task's own, and learns.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: if the backbone is one piece, or `width` is below 1.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        width: int = 16,
        shared: bool = True,
        freeze: bool = True,
        own_norms: bool = True,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages, own_norms)
        if width < 1:
            raise ValueError(f"Adapters: width={width} must be at least 1.")
        if freeze:
            self.backbone.requires_grad_(False)
        layouts = [self.layout(shared_stages - 1 + index) for index in range(len(self.widths()))]
        sizes = list(zip(layouts, self.widths(), strict=True))
        self.shared = nn.ModuleList(_Adapter(layout, channels, width) for layout, channels in sizes if shared)
        for part in self.of_task.values():
            part.adapters = nn.ModuleList(_Adapter(layout, channels, width) for layout, channels in sizes)

    def change(self, state: State, name: str, stage: int) -> State:
        (values, mask), index = state, stage - self.shared_stages + 1
        out = values + self.of_task.get_submodule(f"{name}.adapters.{index}")(values)
        if len(self.shared):
            out = out + self.shared[index](values)
        return out, mask


class _Adapter(nn.Module):
    def __init__(self, layout: Layout, channels: int, width: int) -> None:
        super().__init__()
        self.down, self.up = pointwise(layout, channels, width), pointwise(layout, width, channels)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.up(self.down(values).relu())
        return out
