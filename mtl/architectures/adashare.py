"""AdaShare: every task learns which blocks of a common trunk it runs, and which it skips.

Source: Sun et al., "AdaShare: Learning What To Share For Efficient Deep Multi-Task Learning", NeurIPS 2020,
arXiv:1911.12423: x <- u_kl f_l(x) + (1 - u_kl) x with u_kl drawn from a policy. The draw is 0 or 1 forward, and its
relaxation with temperature backward (straight-through), so that every parameter has a gradient. The paper trains the
network again under a few drawn policies and reports the best; here evaluation takes the likelier choice of each.
Sparsity here is -log(1 - p), whose gradient stays bounded where the gradient of the paper's log p does not.
Shapes: K tasks, L blocks.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.architectures.parts.memo import Memo
from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.architectures.parts.steps import Steps
from mtl.backbones.backbone import Backbone, State
from mtl.functional.counter_random import counter_uniform


class AdaShare(PassPerTask):
    """The trunk runs once for each task, which skips blocks by a policy that it learns.

    Args:
        backbone: the trunk, in stages, with blocks that give what they take in the same shape.
        names: names of the tasks.
        sparsity: weight of the penalty on blocks that run.
        sharing: weight of the penalty on policies that differ, the more so in the first blocks.
        start: logit of running a block, at the start; 1 is a share of 0.73.
        temperature: of the relaxed draws, at the start and when annealing is over.
        anneal_steps: training batches until the temperature has reached its end.
        seed: of the draws, which are the same on every rank and after a resume.
        own_norms: every batch norm that runs once a task is the task's own.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: if the backbone is one piece, or no block of it keeps its shape.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        sparsity: float = 0.01,
        sharing: float = 0.01,
        start: float = 1.0,
        temperature: tuple[float, float] = (5.0, 0.5),
        anneal_steps: int = 2000,
        seed: int = 0,
        own_norms: bool = True,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages, own_norms)
        super().take_turn(names[0])  # some backbones run to see which blocks keep their shape
        kept = {id(part) for stage in self.backbone.stages()[:shared_stages] for part in stage.modules()}
        blocks = [block for block in self.backbone.skippable() if id(block) not in kept]
        if not blocks:
            raise ValueError(
                f"AdaShare skips blocks that give what they take in the same shape, and {type(backbone).__name__} has "
                f"none behind its first {shared_stages} stages. Make it deeper (ResidualFPN: `blocks: 2`), or take "
                "another backbone."
            )
        if min(temperature) <= 0:
            raise ValueError(f"AdaShare: temperature={temperature} must be two numbers above 0.")
        self.sparsity, self.sharing, self.seed, self.temperature = sparsity, sharing, seed, temperature
        self.steps = Steps(anneal_steps)
        self.turn = Memo()
        for part in self.of_task.values():
            part.policy = nn.Parameter(torch.full((len(blocks),), start))
        places = {id(module): place for place, module in self.backbone.named_modules()}
        for index, block in enumerate(blocks):
            self.backbone.set_submodule(places[id(block)], _Skippable(block, index, self.turn))

    def cut(self, prepared: Any) -> Any:
        self.steps.advance()
        return super().cut(prepared)

    def take_turn(self, name: str) -> None:
        super().take_turn(name)
        self.turn.shares = self.shares(name)

    def change(self, state: State, name: str, stage: int) -> State:
        return state

    def shares(self, name: str) -> Tensor:
        """How much of each block a task runs, [L]: 0 or 1, with the gradient of the relaxed draw in training.

        Args:
            name: the task.
        """
        logits_L = self._policy(name)
        if not self.training:
            return (logits_L >= 0).to(logits_L)
        drawn_L = counter_uniform(self.seed, self.steps.count, len(logits_L), self.names.index(name), logits_L.dtype)
        noise_L = drawn_L.log() - (1 - drawn_L).log()  # the difference of two Gumbel variables
        soft_L = ((logits_L + noise_L) / self.steps.between(*self.temperature)).sigmoid()
        return (soft_L >= 0.5).to(soft_L) + (soft_L - soft_L.detach())

    def penalty(self) -> Tensor:
        logits_KL = torch.stack([self._policy(name) for name in self.names])
        running_KL = logits_KL.sigmoid()
        length = logits_KL.shape[1]
        weight_L = (length - torch.arange(length, device=logits_KL.device)) / length
        pairs = [(weight_L * (a_L - b_L).abs()).sum() for a_L, b_L in combinations(running_KL, 2)]
        total = self.sparsity * F.softplus(logits_KL).sum()
        return total + self.sharing * torch.stack(pairs).sum() if pairs else total

    def harden(self, name: str) -> None:
        kept = self._policy(name) >= 0
        for place, module in list(self.backbone.named_modules()):
            if isinstance(module, _Skippable):
                self.backbone.set_submodule(place, module.block if kept[module.index] else module.skipped())
        super().harden(name)

    def _policy(self, name: str) -> Tensor:
        return self.of_task.get_parameter(f"{name}.policy")


class _Skippable(nn.Module):
    def __init__(self, block: nn.Module, index: int, turn: Memo) -> None:
        super().__init__()
        self.block, self.index, self.turn = block, index, turn
        self.takes_mask = getattr(block, "takes_mask", False)

    def forward(self, x: Tensor, *mask: Tensor | None) -> Any:
        share = self.turn.shares[self.index].to(x.dtype)
        if self.takes_mask:
            values, after = self.block(x, *mask)
            return share * values + (1 - share) * x, after
        return share * self.block(x) + (1 - share) * x

    def skipped(self) -> nn.Module:
        return _Pass() if self.takes_mask else nn.Identity()


class _Pass(nn.Module):
    takes_mask = True

    def forward(self, x: Tensor, mask: Tensor | None) -> State:
        return x, mask
