"""The directions of a level that a task reads: where its outputs have gradients.

Source: gradients weighed by the features' covariance, as in LEACE (Belrose et al., NeurIPS 2023) for whitening; active
subspaces (Constantine, Dow, Wang, SIAM J. Sci. Comput. 36(4), 2014) for the gradients.
Shapes: M rows, C channels, r directions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mtl.affinity.sharing.levels import Edit, evaluating, run
from mtl.batch import Batch
from mtl.model import MultiTaskModel

ENERGY = 0.95  # share of the squared gradients that the directions of a task hold
DRAWS = 4  # random sums of the outputs whose gradients are taken of each batch
_FLOOR = 1e-6  # of the largest variance; a direction with less is constant


@dataclass
class LevelSpaces:
    """The tasks' directions at one level, orthonormal where its features have mean 0 and covariance 1.

    Attributes:
        mean_C: of the features.
        root_CC: white features times it are features.
        inverse_CC: features times it are white.
        rank: number of directions in which the features vary.
        directions: of each task [C,r].
    """

    mean_C: Tensor
    root_CC: Tensor
    inverse_CC: Tensor
    rank: int
    directions: dict[str, Tensor] = field(default_factory=dict)

    def without(self, directions_Cr: Tensor) -> Edit:
        """What takes directions out of the features and leaves their mean.

        Args:
            directions_Cr: orthonormal, of the white features.
        """
        away_CC = self.inverse_CC @ directions_Cr @ directions_Cr.T @ self.root_CC
        return lambda rows: rows - ((rows - self.mean_C.to(rows)) @ away_CC.to(rows))

    def random(self, number: int, seed: int = 0) -> Tensor:
        """Random directions in which the features vary, [C,r].

        Args:
            number: how many.
            seed: of the random numbers.
        """
        generator = torch.Generator().manual_seed(seed)
        drawn_CR = torch.randn(len(self.mean_C), number, generator=generator, dtype=torch.float64)
        varying_CC = self.inverse_CC @ self.root_CC  # without the constant directions
        found_CR: Tensor = torch.linalg.qr(varying_CC @ drawn_CR).Q
        return found_CR


def task_spaces(model: MultiTaskModel, batches: Iterable[Batch], names: Sequence[str]) -> dict[str, LevelSpaces]:
    """Directions of every task at every level.

    Args:
        model: a joint model.
        batches: inputs.
        names: the tasks.
    """
    sums: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    grams: dict[str, dict[str, Tensor]] = {}
    generator = torch.Generator().manual_seed(0)
    with evaluating(model), torch.enable_grad():
        for batch in batches:
            found = run(model, batch)
            for level in found.values:
                real_MC = found.real(level).detach().double()
                sums[level] = sums.get(level, 0) + real_MC.sum(0)
                squares[level] = squares.get(level, 0) + real_MC.T @ real_MC
                counts[level] = counts.get(level, 0) + len(real_MC)
            for name in names:
                for _ in range(DRAWS):
                    projected = _random_sum(found.outputs[name].values(), generator)
                    levels = list(found.values)
                    grads = torch.autograd.grad(
                        projected, [found.values[level] for level in levels], retain_graph=True, allow_unused=True
                    )
                    for level, grad in zip(levels, grads, strict=True):
                        width = found.values[level].shape[-1]
                        rows_MC = torch.zeros(1, width) if grad is None else grad.flatten(0, 1)
                        gram_CC = rows_MC.double().T @ rows_MC.double()
                        of_level = grams.setdefault(level, {})
                        of_level[name] = of_level.get(name, 0) + gram_CC
    return {level: _spaces(sums[level], squares[level], counts[level], grams[level]) for level in sums}


def _random_sum(outputs: Iterable[Tensor], generator: torch.Generator) -> Tensor:
    parts = []
    for output in outputs:
        if output.is_floating_point() and output.requires_grad:
            noise = torch.randn(output.shape, generator=generator).to(output)
            parts.append((output * noise).sum() / output.detach().std().clamp(min=1e-6))
    return torch.stack(parts).sum()


def _spaces(sum_C: Tensor, square_CC: Tensor, count: int, grams: dict[str, Tensor]) -> LevelSpaces:
    mean_C = sum_C / count
    values_C, vectors_CC = torch.linalg.eigh(square_CC / count - torch.outer(mean_C, mean_C))
    varying_C = values_C > _FLOOR * values_C[-1].clamp(min=1e-12)
    scale_C = torch.where(varying_C, values_C, 0).clamp(min=0).sqrt()
    inverse_C = torch.where(varying_C, scale_C, 1).reciprocal() * varying_C
    root_CC = vectors_CC * scale_C @ vectors_CC.T
    found = LevelSpaces(mean_C, root_CC, vectors_CC * inverse_C @ vectors_CC.T, int(varying_C.sum()))
    for name, gram_CC in grams.items():
        energy_C, directions_CC = torch.linalg.eigh(root_CC @ gram_CC @ root_CC)
        energy_C, directions_CC = energy_C.flip(0).clamp(min=0), directions_CC.flip(1)
        total = float(energy_C.sum())
        kept = int((energy_C.cumsum(0) < ENERGY * total).sum()) + 1 if total > 0 else 0
        found.directions[name] = directions_CC[:, :kept]
    return found
