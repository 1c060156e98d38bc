"""DSelect-k: a mixture of experts whose gates take a few experts exactly, and are differentiable.

Source: Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of Experts with Applications to Multi-Task
Learning", NeurIPS 2021, arXiv:2106.03760, eq. 4-7: gate = sum_i softmax(w)_i r(z_i), r(z)_e = prod_j S(z_j) or 1 -
S(z_j) by bit j of e, with the smooth step S; the entropy of every r is penalised, so that it ends at one expert, and
codes of no expert are, where E is no power of 2. z and w are linear in what the gate reads. LibMTL calls backward on
this penalty inside forward, for one task; here it is a term of the objective, for all.
Shapes: B samples, E experts, I selectors, J bits.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.mmoe import GATE, MMoE
from mtl.architectures.parts.memo import Memo
from mtl.backbones.backbone import Backbone
from mtl.distributed.normaliser import global_count
from mtl.features import Features


class DSelectK(MMoE):
    """Several experts, of which every task takes a few.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        experts: number of experts E.
        shared_stages: the first stages, which all experts share; their pooled output is what the gates read.
        selected: experts that a task takes for a sample, at most, 1 to E.
        entropy: weight of the penalty that makes the choice exact.
        width: of the smooth step, above 0: outside of -width / 2 .. width / 2 a bit is settled.

    Raises:
        ValueError: for a number out of range.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        experts: int = 4,
        shared_stages: int = 1,
        selected: int = 2,
        entropy: float = 0.01,
        width: float = 1.0,
    ) -> None:
        if not 1 <= selected <= experts or width <= 0:
            raise ValueError(f"DSelectK: selected={selected} must lie within 1..{experts}, and width={width} above 0.")
        self.settings = selected, width
        super().__init__(backbone, names, experts, shared_stages)
        self.entropy = entropy
        self.memo = Memo()

    def make_gate(self, width: int, experts: int) -> nn.Module:
        return SelectorGate(width, experts, *self.settings)

    def gates(self, pooled_BC: Tensor, name: str) -> Tensor:
        share_BI, chosen_BIE = self._gate(name)(pooled_BC)
        return torch.einsum("bi,bie->be", share_BI, chosen_BIE)

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        cut = super().cut(prepared)
        self.memo.pooled = cut[GATE]
        return cut

    def penalty(self) -> Tensor:
        # from the cut itself: what a task sees may be a leaf, behind which no gradient flows
        pooled_BC: Tensor = self.memo.pooled
        # as losses do: a sum over samples by the count of all ranks
        number = global_count(torch.tensor(len(pooled_BC), device=pooled_BC.device))
        each = [self._gate(name).unsettled(pooled_BC).sum() / number for name in self.names]
        return self.entropy * torch.stack(each).sum()

    def _gate(self, name: str) -> "SelectorGate":
        gate = self.of_task[name].get_submodule("gate")
        assert isinstance(gate, SelectorGate)
        return gate


class SelectorGate(nn.Module):
    """I selectors, each a binary code of an expert, and their shares.

    Args:
        width: channels that it reads.
        experts: number of experts E.
        selected: number of selectors I.
        step: width of the smooth step.
    """

    codes: Tensor

    def __init__(self, width: int, experts: int, selected: int, step: float) -> None:
        super().__init__()
        self.selected, self.step, self.bits = selected, step, max(1, math.ceil(math.log2(experts)))
        self.read = nn.Linear(width, selected * (self.bits + 1))
        nn.init.normal_(self.read.weight, std=step / 100 / math.sqrt(width))  # bits begin inside of the step
        nn.init.zeros_(self.read.bias)
        bits = [[(expert >> bit) & 1 for bit in range(self.bits)] for expert in range(experts)]
        self.register_buffer("codes", torch.tensor(bits, dtype=torch.bool), persistent=False)

    def forward(self, pooled_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Share of every selector [B,I], and what it chooses [B,I,E].

        Args:
            pooled_BC: what the gate reads.
        """
        read_BIJ = self.read(pooled_BC).float().unflatten(-1, (self.selected, self.bits + 1))
        bits_BIJ = smooth_step(read_BIJ[..., 1:], self.step)[..., None, :]
        chosen_BIE = torch.where(self.codes, bits_BIJ, 1 - bits_BIJ).prod(-1)
        return read_BIJ[..., 0].softmax(-1), chosen_BIE

    def unsettled(self, pooled_BC: Tensor) -> Tensor:
        """The penalty of every sample, [B].

        Args:
            pooled_BC: what the gate reads.
        """
        _, chosen_BIE = self(pooled_BC)
        # of a share that is exactly 0 the entropy is 0, and so is the gradient
        settled = chosen_BIE <= 0
        entropy_BIE = torch.where(settled, 0.0, -chosen_BIE * torch.where(settled, 1.0, chosen_BIE).log())
        out = entropy_BIE.sum((-2, -1))
        if len(self.codes) < 2**self.bits:
            out = out + (1 / chosen_BIE.sum(-1).clamp(min=1e-6)).sum(-1)
        return out


def smooth_step(x: Tensor, width: float) -> Tensor:
    """0 below -width / 2, 1 above width / 2, and a polynomial of degree 3 between.

    Args:
        x: any tensor.
        width: above 0.
    """
    inside = x.clamp(-width / 2, width / 2)
    return -2 / width**3 * inside**3 + 3 / (2 * width) * inside + 0.5
