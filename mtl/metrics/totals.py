"""`Totals`: named sums over a whole evaluation, exact over ranks; the state of metrics that are ratios of sums."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric


class Totals(Metric):
    """Float64 sums by name.

    Args:
        sizes: number of values of each sum; the name is the attribute.
    """

    full_state_update = False
    update_called = True  # sums of nothing are 0, and torchmetrics warns of them

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.names = tuple(sizes)
        for name, size in sizes.items():
            self.add_state(name, default=torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, **values: Tensor) -> None:
        """Add to the sums.

        Args:
            values: for each name its values, as many as `sizes` says.
        """
        for name, value in values.items():
            total = getattr(self, name)
            setattr(self, name, total + value.detach().to(total).reshape(total.shape))

    def compute(self) -> dict[str, Tensor]:
        """The sums by name, on the CPU; single values as scalars."""
        return {name: getattr(self, name).cpu() for name in self.names}


def at_size(values: Tensor, height: int, width: int) -> Tensor:
    """A map [...,H,W] cut, or its last pixels repeated, at the right and lower edge: cells may reach over the picture.

    Args:
        values: the map.
        height: of the picture.
        width: of the picture.
    """
    values = values[..., :height, :width]
    if values.shape[-2:] == (height, width):
        return values
    rows, columns = (
        torch.arange(size, device=values.device).clamp(max=there - 1)
        for size, there in zip((height, width), values.shape[-2:], strict=True)
    )
    return values[..., rows, :][..., columns]
