"""Equal weighting: the plain sum (or mean) of the losses, the baseline for every other method.

Shapes: K tasks.
"""

from typing import Literal

from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class Equal(LossWeighting):
    """Every task has the same weight.

    LibMTL and most papers sum the losses; the nash-mtl code base takes the mean. For SGD the two differ by a factor K
    in the learning rate.

        objective = Equal()(losses)

    Args:
        reduction: `sum` gives every task weight 1, `mean` 1/K.
    """

    paper = "Caruana, Multitask Learning, Machine Learning 1997"
    scaling = "common"

    def __init__(self, reduction: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        self.reduction = reduction

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return losses_K.sum() if self.reduction == "sum" else losses_K.mean()
