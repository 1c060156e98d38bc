"""Cross-stitch, NDDR: columns that mix behind every stage, computed by hand."""

import pytest
import torch
from torch import nn

from mtl.architectures.cross_stitch import CrossStitch
from mtl.architectures.nddr import NDDR
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.task import InputSpec
from tests.contract.kit.law import law_of

ROW = {"row": InputSpec("row", "table", 3)}


@pytest.mark.parametrize("by_channel", [False, True])
def test_a_stitch_is_a_linear_mix_of_the_columns(by_channel: bool) -> None:
    made = CrossStitch(TableMLP(ROW, (4, 2)), ["a", "b"], own=0.75, by_channel=by_channel)
    assert [tuple(unit.shape) for unit in made.units] == [(2, 2, width if by_channel else 1) for width in (3, 4, 2)]
    row = torch.randn(5, 3)
    cut = made.cut({"row": row})
    first = [made.column(0).stages(), made.column(1).stages()]
    x = [row, row]
    for stage in range(3):
        y = [stages[stage](value) for stages, value in zip(first, x, strict=True)]
        x = [0.75 * y[0] + 0.25 * y[1], 0.25 * y[0] + 0.75 * y[1]]
    torch.testing.assert_close(made.view(cut, "a")["h"], x[0])
    torch.testing.assert_close(made.view(cut, "b")["h"], x[1])


def test_channels_with_shares_of_their_own_obey_the_law() -> None:
    def make(backbone: object, names: list[str]) -> CrossStitch:
        return CrossStitch(backbone, names, by_channel=True)  # type: ignore[arg-type]

    assert law_of(make, "map") == ["parameters"]


def test_nddr_starts_near_the_identity_and_reads_all_columns() -> None:
    made = NDDR(TableMLP(ROW, (4,)), ["a", "b", "c"], own=0.8)
    unit = made.units.get_submodule("1.2.reduce")
    eye = torch.eye(4)
    torch.testing.assert_close(unit.weight, torch.cat((0.1 * eye, 0.1 * eye, 0.8 * eye), 1))
    row = torch.randn(5, 3)
    mixed = [nn.functional.layer_norm(row, (3,))] * 3  # equal columns: whatever the shares, the mix is the row
    y = [column.stages()[1](value) for column, value in zip([made.column(k) for k in range(3)], mixed, strict=True)]
    expected = nn.functional.layer_norm(0.1 * y[0] + 0.1 * y[1] + 0.8 * y[2], (4,))
    torch.testing.assert_close(made.view(made.cut({"row": row}), "c")["h"], expected)


@pytest.mark.parametrize("cls", [CrossStitch, NDDR])
def test_a_single_task_is_its_column(cls: type[CrossStitch]) -> None:
    backbone = ResidualFPN(width=4, pyramid_width=4).eval()
    image = torch.randn(2, 3, 32, 32)
    alone = backbone(image)
    made = cls(backbone, ["a"]).eval()
    for level, value in made.view(made.cut({"image": image}), "a").items():
        torch.testing.assert_close(value, alone[level], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cls", [CrossStitch, NDDR])
def test_a_share_out_of_range_is_refused(cls: type[CrossStitch]) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__}: own=1.5 is a share"):
        cls(TableMLP(ROW, (4,)), ["a", "b"], own=1.5)
