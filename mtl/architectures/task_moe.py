"""Task mixture of experts: a trunk that runs once for each task, whose router picks a few of E small experts a cell.

Source: Liang et al., "M3ViT: Mixture-of-Experts Vision Transformer for Efficient Multi-task Learning", NeurIPS 2022:
sum over the k likeliest experts of softmax(r_t(x))_e f_e(x), with a router for each task t ("multi-gate"); Chen et al.,
"Mod-Squad", CVPR 2023, arXiv:2212.08066: the mutual information of tasks and experts is rewarded, so that all experts
are used and each task uses few. The papers put experts in the place of a transformer's feed-forward layers; here they
stand behind every stage, as a residual, so that any trunk in stages will do. M3ViT's code adds noise to the router and
balances the load of each rank by itself; here nothing is drawn, and the penalty is on the shares over all ranks.
Shapes: B samples, T tasks, E experts, S places of experts, C channels, D hidden channels of an expert.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.architectures.parts.memo import Memo
from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.architectures.parts.stages import pointwise
from mtl.backbones.backbone import Backbone, State
from mtl.distributed.normaliser import mean_over_ranks
from mtl.features import Features, Layout


class TaskMoE(PassPerTask):
    """The trunk runs once for each task, with a sparse mixture of shared experts behind each stage that does so.

    Every cell passes through `selected` of the experts, which its task's router picks. All of them are computed and the
    gate drops the others: no size depends on the data, so nothing waits for a GPU and it compiles; keep them small.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        experts: number of experts E behind each stage.
        selected: how many of them a cell uses.
        width: channels D inside of an expert.
        information: weight of the reward for mutual information of tasks and experts.
        own_norms: every batch norm that runs once a task is the task's own.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: for a number out of range, or a backbone that is one piece.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        experts: int = 4,
        selected: int = 2,
        width: int = 16,
        information: float = 0.01,
        own_norms: bool = True,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages, own_norms)
        if not 1 <= selected <= experts or width < 1 or information < 0:
            raise ValueError(
                f"TaskMoE: selected={selected} must lie within 1..{experts}, width={width} be at least 1, and "
                f"information={information} at least 0."
            )
        self.selected, self.information, self.memo = selected, information, Memo()
        widths = self.widths()[1:]  # behind the last shared stage there are none: its maps are the largest
        sizes = [(self.layout(shared_stages + index), width) for index, width in enumerate(widths)]
        self.experts = nn.ModuleList(Experts(layout, channels, experts, width) for layout, channels in sizes)
        for part in self.of_task.values():
            part.routers = nn.ModuleList(pointwise(layout, channels, experts, bias=False) for layout, channels in sizes)

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        self.memo.sums, self.memo.counts = {}, {}
        return super().cut(prepared)

    def take_turn(self, name: str) -> None:
        super().take_turn(name)
        self.memo.sums[name], self.memo.counts[name] = [], []

    def change(self, state: State, name: str, stage: int) -> State:
        (values, mask), index = state, stage - self.shared_stages
        if index < 0:
            return state
        axis = 1 if self.layout(stage) == "map" else -1
        router = self.of_task.get_submodule(f"{name}.routers.{index}")
        share = _softmax(router(values), axis)
        if self.information and self.training:
            # routers alone are to learn from the penalty, wherever the gradients of tasks meet
            self._remember(_softmax(router(values.detach()), axis), mask, axis, name)
        kept = torch.zeros_like(share).scatter(axis, share.detach().topk(self.selected, axis).indices, 1.0)
        return values + self.experts[index](values, (share * kept).to(values.dtype)), mask

    def penalty(self) -> Tensor:
        names = [name for name in self.names if self.memo.sums.get(name)]  # a schedule leaves tasks out
        if not names:
            return next(self.of_task.parameters()).new_zeros(())
        sums_TSE = torch.stack([torch.stack(self.memo.sums[name]) for name in names])
        count_TSE = torch.stack([torch.stack(self.memo.counts[name]) for name in names])[..., None]
        return -self.information * mutual_information(mean_over_ranks(sums_TSE, count_TSE)).sum()

    def _remember(self, share: Tensor, mask: Tensor | None, axis: int, name: str) -> None:
        """Leave the sum of the shares over real cells, and their number, for the penalty."""
        rows_NE = share.movedim(axis, -1).flatten(0, -2)
        here_N = rows_NE.new_ones(len(rows_NE)) if mask is None else mask.flatten().to(rows_NE.dtype)
        self.memo.sums[name].append(here_N @ rows_NE)
        self.memo.counts[name].append(here_N.sum())


class Experts(nn.Module):
    """E layers with one hidden layer each, whose results are added under a gate.

    Args:
        layout: of the level.
        channels: channels C of the level.
        experts: number of experts E.
        width: hidden channels D of each.
    """

    each: Tensor  # which hidden channels are of which expert, [ED,E]

    def __init__(self, layout: Layout, channels: int, experts: int, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.down = pointwise(layout, channels, experts * width)
        self.up = pointwise(layout, experts * width, channels, bias=False)
        nn.init.zeros_(self.up.get_parameter("weight"))  # the trunk begins as it was
        self.register_buffer("each", torch.eye(experts).repeat_interleave(width, 0), persistent=False)

    def forward(self, values: Tensor, gate: Tensor) -> Tensor:
        """The sum of the experts.

        Args:
            values: the level.
            gate: weight of each expert for each cell, in the layout of the level; 0 drops one.
        """
        # one layer of E x D channels, whose hidden values the gate weighs, is the gated sum of E layers; a product
        # repeats the gate D times, which is quicker than broadcasting in channels-last memory
        each = self.each.to(gate.dtype)
        wide = F.conv2d(gate, each[..., None, None]) if self.layout == "map" else F.linear(gate, each)
        out: Tensor = self.up(self.down(values).relu() * wide)
        return out


def mutual_information(share_TSE: Tensor) -> Tensor:
    """How much the expert says about the task, where tasks are equally likely, [S] in nats.

    Args:
        share_TSE: how often each task uses each expert of a place; they sum to 1 over E.
    """
    return _entropy(share_TSE.mean(0)) - _entropy(share_TSE).mean(0)


def _entropy(share: Tensor) -> Tensor:
    return -(share * share.clamp(min=1e-12).log()).sum(-1)


def _softmax(logits: Tensor, axis: int) -> Tensor:
    # 16 bits would round small shares to 0
    wide: Tensor = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.softmax(axis)
