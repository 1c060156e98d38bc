"""SegNet: its shape, where unpooled values go, and who can share it."""

import pytest
import torch

from mtl.architectures.cross_stitch import CrossStitch
from mtl.architectures.mtan import MTAN
from mtl.backbones.backbone import run_stages
from mtl.backbones.image.segnet import SegNet

SMALL = {"widths": (4, 6, 8, 10, 10), "layers": (1, 1, 1, 1, 1)}


def test_stages_have_the_declared_sizes_also_for_odd_pictures() -> None:
    backbone = SegNet(**SMALL)  # type: ignore[arg-type]
    for height, width in ((32, 48), (37, 51)):
        outputs = run_stages(backbone.stages(), (torch.rand(1, 3, height, width), None))
        sizes = [tuple(values.shape[-2:]) for values, _ in outputs]
        assert sizes[:5] == sizes[:4:-1], "every stage up has the size of its stage down"
        assert sizes[0] == (height, width)
        assert sizes[4] == (height // 16, width // 16)
        assert [values.shape[1] for values, _ in outputs] == list(backbone.stage_spec.channels.values())


def test_values_go_back_to_the_places_of_the_maxima() -> None:
    up = SegNet(**SMALL).up[1]  # type: ignore[arg-type]
    up.layers = torch.nn.Identity()
    down = torch.tensor([[[[1.0, 2, 0, 5], [3, 0, 1, 1], [9, 0, 0, 0], [0, 0, 7, 6]]]])
    x = torch.tensor([[[[10.0, 20], [30, 40]]]])
    expected = [[0.0, 0, 0, 20], [10, 0, 0, 0], [30, 0, 0, 0], [0, 0, 40, 0]]
    assert up(x, down)[0, 0].tolist() == expected


def test_the_number_of_layers_is_that_of_the_paper() -> None:
    backbone = SegNet()
    convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 26  # VGG-16's 13, twice
    assert [convolution.out_channels for convolution in convolutions[:13]] == [
        *[64] * 2, *[128] * 2, *[256] * 3, *[512] * 6
    ]  # fmt: skip
    assert [convolution.out_channels for convolution in convolutions[13:]] == [
        *[512] * 3, *[256] * 3, *[128] * 3, *[64] * 4
    ]  # fmt: skip


def test_attention_of_each_task_works_on_it_and_columns_are_refused_by_name() -> None:
    trunk = MTAN(SegNet(**SMALL), ["a", "b"])  # type: ignore[arg-type]
    views = trunk({"image": torch.rand(2, 3, 32, 32)})
    assert views["a"]["p0"].shape == (2, 4, 32, 32)
    assert not torch.equal(views["a"]["p0"], views["b"]["p0"])
    sum(view["p0"].square().mean() for view in views.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trunk.parameters())
    with pytest.raises(ValueError, match="CrossStitch runs single stages .*, and stages of SegNet also read"):
        CrossStitch(SegNet(**SMALL), ["a", "b"])  # type: ignore[arg-type]


def test_rejects_another_number_of_stages() -> None:
    with pytest.raises(ValueError, match="must be five numbers above 0"):
        SegNet(widths=(4, 8))
