"""How long the FCOS loss takes, ours against torchvision's on the same cells, boxes and sides.

Run: python tests/benchmarks/fcos_loss.py
Both run in one process, in turn, forward and backward; medians are compared, so the neighbours of a shared machine
slow both alike. Nothing is asserted: `tests/unit/heads/detection/test_fcos.py` shows that both give the same number.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS

from mtl.batch import Batch
from mtl.features import FeatureSpec
from mtl.heads.detection.fcos import FCOSHead
from mtl.targets.detection import PADDING_LABEL
from mtl.task import Task

# name: images, side in px, strides, most boxes of an image, classes
CASES = {
    "digits: 64 x 64 px, one level": (64, 64, (4,), 4, 10),
    "pictures: 256 x 256 px, three levels": (16, 256, (8, 16, 32), 20, 20),
    "pictures: 512 x 512 px, three levels": (8, 512, (8, 16, 32), 60, 80),
}


class Stub(nn.Module):
    """What torchvision's FCOS wants for a backbone."""

    out_channels = 32


def make_batch(images: int, side: int, most: int, classes: int) -> Batch:
    corner = torch.rand(images, most, 2) * side * 0.8
    boxes = torch.cat((corner, corner + side * (0.1 + 0.3 * torch.rand(images, most, 2))), -1).clamp(max=side)
    labels = torch.randint(0, classes, (images, most))
    labels[torch.arange(most) >= torch.randint(1, most + 1, (images, 1))] = PADDING_LABEL
    return {"boxes": boxes, "box_labels": labels, "labelled/boxes": torch.ones(images, dtype=torch.bool)}


def make_losses(case: str) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Our loss and torchvision's as functions without arguments."""
    images, side, strides, most, classes = CASES[case]
    levels = [f"p{index}" for index in range(len(strides))]
    spec = FeatureSpec(dict.fromkeys(levels, 16), dict(zip(levels, strides, strict=True)))
    head = FCOSHead(Task("boxes", "detection", classes), spec, size_factor=8.0)
    batch = make_batch(images, side, most, classes)
    maps = {
        level: torch.randn(images, 16, side // spec.strides[level], side // spec.strides[level]) for level in levels
    }
    with torch.no_grad():
        outputs = head(maps)
    cells = outputs["cells"][0]
    for name in ("logits", "boxes", "centerness"):
        outputs[name].requires_grad_()
    fcos = FCOS(Stub(), num_classes=classes)
    anchors = torch.cat((cells[:, :2] - cells[:, 2:] / 2, cells[:, :2] + cells[:, 2:] / 2), 1)
    sides = torch.cat((cells[:, :2] - outputs["boxes"][..., :2], outputs["boxes"][..., 2:] - cells[:, :2]), -1)
    theirs = {
        "cls_logits": outputs["logits"],
        "bbox_regression": (sides / cells[:, 2:]).detach().requires_grad_(),
        "bbox_ctrness": outputs["centerness"][..., None],
    }
    targets = [
        {"boxes": box[label >= 0], "labels": label[label >= 0]}
        for box, label in zip(batch["boxes"], batch["box_labels"], strict=True)
    ]
    per_level = [maps[level].shape[2] * maps[level].shape[3] for level in levels]

    def torchvision_loss() -> Tensor:
        parts = fcos.compute_loss(targets, theirs, [anchors] * images, per_level)
        return torch.stack(list(parts.values())).sum()

    return lambda: head.loss(outputs, batch), torchvision_loss


def measure(rounds: int) -> Table:
    table = Table("case", "ours ms", "torchvision ms", "torchvision / ours", "same loss")
    for case in CASES:
        losses = make_losses(case)
        times: tuple[list[float], list[float]] = ([], [])
        for step in range(rounds + 2):
            for loss, taken in zip(losses, times, strict=True):
                start = time.perf_counter()
                loss().backward()
                if step >= 2:  # the first two warm up
                    taken.append(1000 * (time.perf_counter() - start))
        ours, theirs = (statistics.median(taken) for taken in times)
        values = [loss().item() for loss in losses]
        same = "yes" if abs(values[0] - values[1]) < 1e-3 * abs(values[1]) else f"no: {values[0]:.4f} {values[1]:.4f}"
        table.add_row(case, f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}", same)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each loss")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    Console().print(measure(options.rounds))
