"""LoRA: one trunk that runs once for each task, whose matrices and filters get a low-rank part that is the task's.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022: W x + (alpha / r) B A x with B = 0
at the start; Agiza et al., "MTLoRA", CVPR 2024, for a part that all tasks share beside the tasks' own parts. A
convolution W of k x k has A of k x k and B of 1 x 1, so that the product is a filter of the shape of W, and merges
exactly.
Shapes: K tasks, R rank, O channels out, I channels in.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.memo import Memo
from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.backbones.backbone import Backbone, State


class LoRA(PassPerTask):
    """The trunk runs once for each task, with low-rank additions to its linear layers and convolutions.

    Layers of other kinds, among them recurrent ones and convolutions in groups, stay as they are.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        rank: rank R of each addition.
        alpha: an addition is multiplied by alpha / rank.
        shared: whether every layer has an addition that all tasks share.
        freeze: the trunk itself does not learn; for a pretrained one.
        own_norms: every batch norm that runs once a task is the task's own, and learns.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: if the backbone is one piece, or none of its layers can be added to.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        rank: int = 4,
        alpha: float = 4.0,
        shared: bool = True,
        freeze: bool = True,
        own_norms: bool = True,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages, own_norms)
        if rank < 1:
            raise ValueError(f"LoRA: rank={rank} must be at least 1.")
        if freeze:
            self.backbone.requires_grad_(False)
        kept = {id(module) for stage in self.backbone.stages()[:shared_stages] for module in stage.modules()}
        places = [
            (place, module) for place, module in self.backbone.named_modules()
            if id(module) not in kept and (isinstance(module, nn.Linear) or _is_whole(module))
        ]  # fmt: skip
        if not places:
            raise ValueError(
                f"LoRA adds to linear layers and convolutions, and {type(backbone).__name__} has none behind its first "
                f"{shared_stages} stages. Take Adapters, which work behind any stage."
            )
        self.turn = Memo()
        for part in self.of_task.values():
            part.additions = nn.ModuleList(_Addition(layer, rank) for _, layer in places)
        for index, (place, layer) in enumerate(places):
            common = _Addition(layer, rank) if shared else None
            self.backbone.set_submodule(place, _Added(layer, common, self.of_task, index, self.turn, alpha / rank))

    def take_turn(self, name: str) -> None:
        super().take_turn(name)
        self.turn.task = name

    def change(self, state: State, name: str, stage: int) -> State:
        return state

    def harden(self, name: str) -> None:
        for place, module in list(self.backbone.named_modules()):
            if isinstance(module, _Added):
                self.backbone.set_submodule(place, module.merged(name))
        self.of_task[name].additions = nn.ModuleList()
        super().harden(name)


def _is_whole(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1


class _Addition(nn.Module):
    """B A, as layers."""

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        if isinstance(layer, nn.Linear):
            self.down: nn.Module = nn.Linear(layer.in_features, rank, bias=False)
            self.up: nn.Module = nn.Linear(rank, layer.out_features, bias=False)
        else:
            assert isinstance(layer, nn.Conv1d | nn.Conv2d)
            kind: type[nn.Conv1d | nn.Conv2d] = nn.Conv1d if isinstance(layer, nn.Conv1d) else nn.Conv2d
            self.down = kind(
                layer.in_channels, rank, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
                bias=False, padding_mode=layer.padding_mode,
            )  # fmt: skip
            self.up = kind(rank, layer.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.down(x))
        return out


class _Added(nn.Module):
    of_task: nn.ModuleDict

    def __init__(
        self,
        layer: nn.Module,
        common: _Addition | None,
        of_task: nn.ModuleDict,
        index: int,
        turn: Memo,
        scale: float,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.common = common
        self.__dict__["of_task"] = of_task  # not registered here: the additions are the tasks'
        self.index, self.turn, self.scale = index, turn, scale

    def of(self, name: str) -> _Addition:
        addition = self.of_task.get_submodule(f"{name}.additions.{self.index}")
        assert isinstance(addition, _Addition)
        return addition

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor
        if isinstance(self.layer, nn.Linear):
            out = self.layer(x) + self.scale * sum(addition(x) for addition in self.additions(self.turn.task))
        else:
            # maps are large and filters small: one convolution by the sum of filters takes half the time of three
            out = torch.func.functional_call(self.layer, {"weight": self.weight(self.turn.task)}, x)
        return out

    def additions(self, name: str) -> list[_Addition]:
        return [self.of(name)] if self.common is None else [self.of(name), self.common]

    def weight(self, name: str) -> Tensor:
        """The matrix or filter with its additions for one task inside."""
        weight = self.layer.weight
        assert isinstance(weight, Tensor)
        # the axis of channels is last, as filters have it in memory by default: nothing is moved
        last = weight.movedim(1, -1)
        flat = last.flatten(1)
        for addition in self.additions(name):
            down, up = addition.down.get_parameter("weight"), addition.up.get_parameter("weight")
            flat = torch.addmm(flat, up.flatten(1), down.movedim(1, -1).flatten(1), alpha=self.scale)
        return flat.view_as(last).movedim(-1, 1)

    @torch.no_grad()
    def merged(self, name: str) -> nn.Module:
        """The layer with its additions for one task inside."""
        layer = copy.deepcopy(self.layer)
        assert isinstance(layer.weight, Tensor)
        layer.weight.copy_(self.weight(name))
        return layer
