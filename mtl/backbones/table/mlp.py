"""A multilayer perceptron for tables.

Level: `h`, a vector of the last width.
"""

from collections.abc import Sequence

from torch import nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import Features, FeatureSpec
from mtl.task import Inputs


class TableMLP(StagedBackbone):
    """Linear layers with ReLU and dropout. Its first stage is the row itself, so that architectures see it.

    Args:
        inputs: what the data module declares; one table.
        widths: units of each hidden layer.
        dropout: share of hidden units dropped in training, 0 to 1.
    """

    def __init__(self, inputs: Inputs, widths: tuple[int, ...] = (64, 64), dropout: float = 0.0) -> None:
        super().__init__()
        table = only_input(inputs, "table", "TableMLP")
        if not widths or min(widths) < 1:
            raise ValueError(f"TableMLP: widths={widths} must be at least one number above 0.")
        self.inputs = (table.name,)
        layers = zip((table.channels, *widths), widths, strict=False)
        self.layers = nn.ModuleList(
            [nn.Identity(), *(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)) for a, b in layers)]
        )
        self.stage_spec = FeatureSpec(
            {f"s{index}": width for index, width in enumerate((table.channels, *widths))},
            layouts={f"s{index}": "vector" for index in range(len(widths) + 1)},
        )
        self.spec = FeatureSpec({"h": widths[-1]}, layouts={"h": "vector"})

    def stages(self) -> Sequence[nn.Module]:
        return list(self.layers)

    def finish(self, outputs: Sequence[State]) -> Features:
        return {"h": outputs[-1][0]}
