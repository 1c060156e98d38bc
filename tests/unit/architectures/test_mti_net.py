"""MTI-Net: propagation between tasks and from scale to scale, computed by hand."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mtl.architectures.mti_net import MTINet, Propagation
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.task import InputSpec


def test_propagation_attends_over_tasks_and_adds_what_a_task_has() -> None:
    module = Propagation(["a", "b"], 3, 2).eval()
    x = {"a": torch.randn(2, 3, 4, 4), "b": torch.randn(2, 3, 4, 4)}
    logits = module.attention(torch.cat((x["a"], x["b"]), 1))
    # channel c of task a beside channel c of task b
    share_a = torch.sigmoid(logits[:, :3] - logits[:, 3:])
    joined = module.reduce(torch.cat((share_a * x["a"], (1 - share_a) * x["b"]), 1))
    weigh: Any = module.squeezes["b_"]
    weight = weigh.weigh(joined.mean((2, 3)))[..., None, None]
    torch.testing.assert_close(module(x, None)["b"], x["b"] + joined * weight)


def test_a_finer_scale_reads_the_trunk_and_the_scale_before() -> None:
    made = MTINet(ResidualFPN(width=4, pyramid_width=6), ["a", "b", "c"]).eval()
    assert made.scales == ["c4", "p2"]
    prepared = {"image": torch.randn(1, 3, 32, 32)}
    shared, cut = made.backbone.run(prepared), made.cut(prepared)
    coarse = {name: made.features.level(shared["c4"], name, "c4") for name in "abc"}
    carried = made.propagate["c4_"](coarse, None)["b"]
    bigger = F.interpolate(carried, size=shared["p2"].shape[-2:], mode="bilinear", align_corners=False)
    fine = made.features.level(torch.cat((shared["p2"], bigger), 1), "b", "p2")
    torch.testing.assert_close(cut["b/c4"], coarse["b"])
    torch.testing.assert_close(cut["b/p2"], fine)
    torch.testing.assert_close(made.initial(cut, "b")["p2"], fine)


def test_padding_is_out_of_the_mean_that_weighs_channels() -> None:
    module = Propagation(["a"], 2, 1).eval()
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    mask[..., 1] = False
    seen: list[torch.Tensor] = []
    squeeze: Any = module.squeezes["a_"]
    squeeze.weigh.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(1, 2, 2, 2)
    module({"a": x}, mask)
    joined = module.reduce(x)  # of one task, attention is 1
    torch.testing.assert_close(seen[0], joined[..., 0].mean(2))


def test_what_cannot_be_carried_on_is_refused() -> None:
    with pytest.raises(ValueError, match="TableMLP gives 0 of one stride. Take PADNet"):
        MTINet(TableMLP({"row": InputSpec("row", "table", 3)}, (4,)), ["a", "b"])
    with pytest.raises(ValueError, match="MTINet: reduction=0"):
        MTINet(ResidualFPN(width=4), ["a"], reduction=0)
