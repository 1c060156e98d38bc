"""`Squeeze`: squeeze-and-excitation, which weighs the channels of every sample.

Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018: x <- x * sigmoid(W2 relu(W1 mean(x))).
Shapes: B samples, C channels.
"""

from torch import Tensor, nn

from mtl.architectures.parts.stages import by_channel, masked_mean
from mtl.features import Layout


class Squeeze(nn.Module):
    """Weighs channels by the mean over the real cells of a sample.

    Args:
        width: channels C.
        reduction: how many times narrower the hidden layer is.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, width // reduction)
        self.weigh = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, values: Tensor, mask: Tensor | None, layout: Layout) -> Tensor:
        """The level with weighed channels.

        Args:
            values: a level.
            mask: which cells are real; all where it is None.
            layout: its layout.
        """
        share_BC: Tensor = self.weigh(masked_mean(values, mask, layout).to(values.dtype))
        return values * by_channel(share_BC, layout)
