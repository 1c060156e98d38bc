"""`PlainSum`: the sum of the task gradients, as without a node, and their Gramian on the way.

Shapes: K tasks, L levels.
"""

import torch
from torch import Tensor

from mtl.balancing.engine.fork import fork
from mtl.functional.gradient_rows import gramian


class PlainSum:
    """Watches the gradients of the tasks at the features and changes nothing; the Gramian is this rank's."""

    def __init__(self) -> None:
        self.gramian: Tensor | None = None
        self.watched = True
        self.ragged = False

    def split(self, levels: list[Tensor], num_tasks: int) -> list[list[Tensor]]:
        """A view of every level for each task.

        Args:
            levels: the tensors of the cut that need a gradient.
            num_tasks: number of tasks K.
        """
        return fork(levels, num_tasks, self._record)

    def _record(self, rows: list[list[Tensor | None]]) -> list[Tensor | None]:
        levels = [list(level) for level in zip(*rows, strict=True)]
        used = [level for level in levels if any(part is not None for part in level)]
        if used:
            self.gramian = torch.stack([gramian(level) for level in used]).sum(0)
        return [_sum(level) for level in levels]


def _sum(parts: list[Tensor | None]) -> Tensor | None:
    here = [part for part in parts if part is not None]
    return torch.stack(here).sum(0) if here else None
