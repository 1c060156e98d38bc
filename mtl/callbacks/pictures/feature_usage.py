"""`FeatureUsage`: which pixels and which channels of the shared features each task uses.

Source: gradient x activation, Shrikumar et al., "Not Just a Black Box", arXiv:1605.01713, taken at the shared features.
Shapes: B samples, K tasks, C channels of all levels, H x W pixels, h x w cells of a level.
"""

import csv
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torch.utils._pytree import tree_map_only

from mtl.batch import Batch
from mtl.callbacks.model_parts import model_of
from mtl.distributed.dtensor import is_sharded
from mtl.distributed.ranks import each_rank, num_ranks, sum_over_ranks
from mtl.drawing.feature_usage import Channels, draw_saliency, draw_usage
from mtl.drawing.figure_file import not_costing
from mtl.drawing.sample import Picture, take_picture
from mtl.features import Features, as_rows
from mtl.functional.channel_usage import channel_owners, usage_overlap, usage_shares
from mtl.inputs.image import image_of
from mtl.model import MultiTaskModel
from mtl.runs.metrics_csv import run_folder

_log = logging.getLogger(__name__)


class FeatureUsage(Callback):
    """Saliency of every task on test pictures, and the matrix of which channel serves which task.

    Both come from |gradient x activation| of each task's loss at the cut, after the test, from its first
    batches; training costs nothing. Written to the folder of the run: `pictures/saliency.png`,
    `pictures/feature_usage.png`, `feature_usage.csv` (share of each channel in what a task uses) and
    `feature_overlap.csv` (of every pair of tasks: 1 for the same channels, 0 for none in common). The pictures and the
    overlaps go to W&B as well. A loss counts the same at every scale.

    Args:
        num_pictures: test samples with saliency; 0 for none.
        num_batches: test batches of every rank that the matrix is a mean over.
        folder: where to write; the folder of the run by default.

    Raises:
        ValueError: for numbers out of range, or when the parameters are shards.
    """

    def __init__(self, num_pictures: int = 6, num_batches: int = 8, folder: Path | None = None) -> None:
        if num_pictures < 0 or num_batches < 1:
            raise ValueError(f"num_pictures={num_pictures} must be at least 0, num_batches={num_batches} at least 1.")
        self.num_pictures = num_pictures
        self.num_batches = num_batches
        self.folder = Path(folder) if folder is not None else None
        self._batches: list[Batch] = []
        self._pictures: list[Picture] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _refuse_shards(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _refuse_shards(pl_module)
        self._batches, self._pictures = [], []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if len(self._batches) == self.num_batches:
            return
        self._batches.append(batch)
        image = image_of(model_of(pl_module).inputs)
        if image is None or not trainer.is_global_zero:
            return
        for index in range(min(self.num_pictures - len(self._pictures), len(batch[image]))):
            picture = take_picture(batch, outputs, index, pl_module.tasks, image=image)  # type: ignore[arg-type]
            self._pictures.append(picture)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches, self._batches = self._batches, []
        pictures, self._pictures = self._pictures, []
        # a loss adds up its labels over the ranks, so every rank must ask for equally many
        number = len(batches)
        if num_ranks() > 1:
            number = int(each_rank(torch.tensor([number], device=pl_module.device)).min())
        if not number:
            return
        model = model_of(pl_module)
        usage_KC, saliency = measure_usage(model, batches[:number], len(pictures))
        usage_KC = sum_over_ranks(usage_KC).cpu()
        if trainer.is_global_zero:
            channels = Channels(
                [(level, index) for level, width in model.trunk.cut_spec.channels.items() for index in range(width)],
                list(model.heads),
                usage_shares(usage_KC),
            )
            with not_costing("usage of features"):
                self._write(trainer, channels, pictures[: len(saliency)], saliency)

    def _write(
        self, trainer: Trainer, channels: Channels, pictures: Sequence[Picture], saliency: Sequence[Tensor]
    ) -> None:
        folder = self.folder or run_folder(trainer)
        if folder is None:
            return
        overlap_KK = usage_overlap(channels.shares_KC)
        drawn = {}
        if draw_usage(channels, overlap_KK, folder / "pictures/feature_usage.png"):
            drawn["feature_usage"] = folder / "pictures/feature_usage.png"
        if pictures and draw_saliency(pictures, saliency, channels.tasks, folder / "pictures/saliency.png"):
            drawn["saliency"] = folder / "pictures/saliency.png"
        try:
            write_tables(channels, overlap_KK, folder)
        except OSError as error:
            _log.warning("tables of FeatureUsage cannot be written (%s); the run continues without them.", error)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                import wandb

                images: dict[str, Any] = {f"test/{name}": wandb.Image(str(path)) for name, path in drawn.items()}
                numbers = {
                    f"test/feature_overlap/{first}_{second}": float(overlap_KK[i, j])
                    for i, first in enumerate(channels.tasks)
                    for j, second in enumerate(channels.tasks)
                    if i < j and overlap_KK[i, j].isfinite()
                }
                logger.experiment.log(images | numbers | {"trainer/global_step": trainer.global_step - 1})


def measure_usage(
    model: MultiTaskModel, batches: Sequence[Batch], num_pictures: int = 0
) -> tuple[Tensor, list[Tensor]]:
    """How much each task uses each channel, and where on the first pictures.

    Args:
        model: the model, in evaluation mode.
        batches: labelled batches.
        num_pictures: pictures to look at one by one.

    Returns:
        Sums of |gradient x activation| over images and cells, levels beside each other, [K,C]; and for each picture
        [K,H,W], what its cells come to, spread evenly over the pixels of each.
    """
    spec = model.trunk.cut_spec
    rows: list[Tensor] = []
    saliency: list[Tensor] = []
    # a test runs in inference mode, whose tensors know no gradient
    with torch.inference_mode(mode=False), torch.enable_grad():
        for batch in (tree_map_only(Tensor, Tensor.clone, batch) for batch in batches):
            image = batch[name][: num_pictures - len(saliency)] if (name := image_of(model.inputs)) else None
            used, maps = [], []
            for levels in _attributions(model, batch):
                used.append(
                    torch.cat([as_rows(v.float(), spec.layouts[level]).sum((0, 1)) for level, v in levels.items()])
                )
                if image is not None:
                    of_maps = [levels[level][: len(image)].float() for level in spec.of("map")]
                    maps.append(_over_image(of_maps, image))
            rows.append(torch.stack(used))
            saliency += torch.stack(maps, 1).cpu().unbind() if maps else []
    return torch.stack(rows).sum(0), saliency


def write_tables(channels: Channels, overlap_KK: Tensor, folder: Path) -> None:
    """Write `feature_usage.csv` and `feature_overlap.csv`.

    Args:
        channels: the channels and their shares.
        overlap_KK: overlap of every pair of tasks.
        folder: where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    owners = channel_owners(channels.shares_KC).tolist()
    with (folder / "feature_usage.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["level", "channel", "owner", *channels.tasks])
        for place, owner, shares in zip(channels.places, owners, channels.shares_KC.T.tolist(), strict=True):
            name = channels.tasks[owner] if owner >= 0 else ""
            writer.writerow([*place, name, *(f"{share:.6g}" for share in shares)])
    with (folder / "feature_overlap.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", *channels.tasks])
        for name, row in zip(channels.tasks, overlap_KK.tolist(), strict=True):
            writer.writerow([name, *(f"{value:.6g}" for value in row)])


def _attributions(model: MultiTaskModel, batch: Batch) -> Iterator[Features]:
    """|gradient x activation| of one task after the other, by level; zeros where a task does not look."""
    with torch.no_grad():
        cut = model.cut(batch)
    for name in model.heads:
        # leaves of their own: nothing goes back into the trunk, which may be frozen
        leaves = {level: cut[level].detach().requires_grad_() for level in model.trunk.cut_spec.channels}
        loss = model.loss(name, model.outputs(name, cut | leaves), batch)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        yield {
            level: torch.zeros_like(value) if gradient is None else (gradient * value).detach().abs()
            for (level, value), gradient in zip(leaves.items(), found, strict=True)
        }


def _over_image(levels: Sequence[Tensor], image: Tensor) -> Tensor:
    """Sum over channels and levels on the pixels of the image; a coarse cell is spread over more of them."""
    size = image.shape[-2:]
    total = image.new_zeros((len(levels[0]), *size), dtype=torch.float32)
    for level in levels:
        cells = level.sum(1, keepdim=True) * (level.shape[-2] * level.shape[-1] / (size[0] * size[1]))
        if len(cells):
            total = total + F.interpolate(cells, size=size, mode="bilinear", align_corners=False)[:, 0]
    return total


def _refuse_shards(pl_module: LightningModule) -> None:
    if is_sharded(pl_module.parameters()):
        raise ValueError(
            "FeatureUsage looks at gradients of whole heads, and these are shards. Leave it out of this run, and "
            "`python -m mtl test` its checkpoint with FeatureUsage on one device or with ddp."
        )
