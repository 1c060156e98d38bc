"""`EvaluationPictures`: after the test, confusion matrices, curves, calibration, and the worst samples."""

import heapq
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.batch import labelled
from mtl.callbacks.model_parts import model_of
from mtl.drawing.evaluation import draw_confusion, draw_detection_curves
from mtl.drawing.figure_file import not_costing
from mtl.drawing.grid import draw_grid
from mtl.drawing.reliability import draw_reliability
from mtl.drawing.sample import Picture, take_picture
from mtl.inputs.image import image_of
from mtl.metrics.detection_matching import SIZES, ImageBoxes, confusions, curve_of, match_all
from mtl.runs.metrics_csv import run_folder
from mtl.targets.detection import PADDING_LABEL, ignored
from mtl.targets.overlay import boxes_to_original
from mtl.targets.picture_edges import boxes_inside
from mtl.targets.target import target_of
from mtl.task import Task


class EvaluationPictures(Callback):
    """Writes `confusion_<task>.png`, `curves_<task>.png`, `calibration.png` and `worst.png`.

    Objects are small, medium or large by COCO's areas, in pixels of the files.
    On several ranks the pictures show the first rank's samples, as their titles say; the metrics are of all.

    Args:
        folder: folder of the PNG; `pictures` in the folder of the run by default.
        num_worst: samples in `worst.png`; 0 for none.
        min_score: detections below it are no part of the confusions and of the worst samples.
        most_samples: samples that are kept for the pictures.
    """

    def __init__(
        self, folder: Path | None = None, num_worst: int = 12, min_score: float = 0.3, most_samples: int = 5000
    ) -> None:
        if num_worst < 0 or not 0 <= min_score <= 1 or most_samples < 1:
            raise ValueError(
                f"num_worst={num_worst} must be at least 0, min_score={min_score} within 0..1, "
                f"most_samples={most_samples} at least 1."
            )
        self.folder = Path(folder) if folder is not None else None
        self.num_worst, self.min_score, self.most_samples = num_worst, min_score, most_samples
        self._clear()

    def _clear(self) -> None:
        self._images: dict[str, list[ImageBoxes]] = {}
        self._answers: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}  # true and predicted class, score
        self._worst: list[tuple[float, int, Picture]] = []  # a heap, the least bad first
        self._seen = 0

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clear()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.is_global_zero or self._seen >= self.most_samples or not isinstance(outputs, dict):
            return
        with not_costing("pictures of the evaluation"):
            tasks: dict[str, Task] = pl_module.tasks  # type: ignore[assignment]
            badness: Tensor | None = None
            for name, found in outputs.items():
                task = tasks.get(name)
                if task is None or name not in batch:
                    continue
                judge = {"boxes": self._add_boxes, "classes": self._add_answers}.get(target_of(task).judged_as)
                if judge is not None:
                    bad_B = judge(task, found, batch)
                    badness = bad_B if badness is None else badness + bad_B
            if badness is not None:
                self._keep_worst(pl_module, outputs, batch, badness, tasks)
                self._seen += len(badness)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = run_folder(trainer)
        folder = self.folder or (run / "pictures" if run else None)
        if folder is not None and trainer.is_global_zero and self._seen:
            tasks: dict[str, Task] = pl_module.tasks  # type: ignore[assignment]
            of = "" if trainer.world_size == 1 else f" of rank 0 of {trainer.world_size}"
            for name, images in self._images.items():
                with not_costing(f"curves_{name}.png"):
                    self._draw_boxes(tasks[name], images, f"{name}: {len(images)} test samples{of}", folder)
            with not_costing("confusion matrices"):
                self._draw_answers(tasks, of, folder)
            with not_costing("worst.png"):
                worst = [picture for _, _, picture in sorted(self._worst, key=lambda one: -one[0])]
                if worst:
                    draw_grid(worst, tasks, folder / "worst.png", name_true=True)
        self._clear()

    def _add_boxes(self, task: Task, found: dict[str, Tensor], batch: Any) -> Tensor:
        known, found = labelled(batch, task).cpu(), boxes_inside(found, batch)
        values = {key: found[key].detach().float().cpu() for key in ("boxes", "scores", "labels")}
        truths, labels = batch[task.name].float().cpu(), batch[task.labels_field].cpu()
        if "to_original" in batch:  # sizes of objects are in pixels of the files, as in the metrics
            to_original = batch["to_original"].cpu()
            values["boxes"] = boxes_to_original(values["boxes"], to_original)
            truths = boxes_to_original(truths, to_original)
        bad = torch.zeros(len(known))
        for index in known.nonzero().flatten().tolist():
            real, there = values["labels"][index] >= 0, labels[index] != PADDING_LABEL
            aside = labels[index][there] < 0
            classes = torch.where(aside, ignored(labels[index][there]), labels[index][there])
            image = ImageBoxes(
                values["boxes"][index][real],
                values["scores"][index][real],
                values["labels"][index][real].long(),
                truths[index][there],
                classes,
                aside,
            )
            self._images.setdefault(task.name, []).append(image)
            counts = confusions([image], task.num_classes, self.min_score)
            total = int(counts.sum())
            bad[index] = 0.0 if not total else 1 - float(counts.diagonal()[:-1].sum()) / total
        return bad

    def _add_answers(self, task: Task, found: dict[str, Tensor], batch: Any) -> Tensor:
        true, known = batch[task.name].cpu(), labelled(batch, task).cpu()
        known = known & (true >= 0)
        predicted, scores = found["labels"].detach().cpu(), found["scores"].detach().float().cpu()
        self._answers.setdefault(task.name, []).append((true[known], predicted[known], scores[known]))
        return torch.where(known & (predicted != true), scores, 0.0)

    def _keep_worst(
        self, pl_module: LightningModule, outputs: Any, batch: Any, badness: Tensor, tasks: dict[str, Task]
    ) -> None:
        inputs = model_of(pl_module).inputs
        image = image_of(inputs)
        if image is None or not self.num_worst:
            return
        for index, value in enumerate(badness.tolist()):
            full = len(self._worst) >= self.num_worst
            if value <= 0 or (full and value <= self._worst[0][0]):
                continue
            picture = take_picture(batch, outputs, index, tasks, self.min_score, image, inputs)
            entry = (value, self._seen + index, picture)  # the number decides among equals
            if full:
                heapq.heapreplace(self._worst, entry)
            else:
                heapq.heappush(self._worst, entry)

    def _draw_boxes(self, task: Task, images: list[ImageBoxes], title: str, folder: Path) -> None:
        names = [task.class_name(label) for label in range(task.num_classes)]
        matched = match_all(images, task.num_classes)
        curves = {name: curve_of(of) for name, of in zip(names, matched, strict=True) if of.count}
        if not curves:
            return
        by_size: dict[str, float | None] = {}
        for size, area in SIZES.items():
            found = [of for of in match_all(images, task.num_classes, area=area) if of.count]
            values = [curve_of(of).average_precision for of in found]
            by_size[size] = sum(values) / len(values) if values else None
        draw_detection_curves(curves, by_size, title, folder / f"curves_{task.name}.png")
        counts = confusions(images, task.num_classes, self.min_score)
        draw_confusion(counts, [*names, "nothing"], f"{title}, score {self.min_score:g}", _confusion(folder, task.name))

    def _draw_answers(self, tasks: dict[str, Task], of: str, folder: Path) -> None:
        sure: dict[str, tuple[Tensor, Tensor]] = {}
        for name, parts in self._answers.items():
            true, predicted, scores = (torch.cat(values) for values in zip(*parts, strict=True))
            if not len(true):
                continue
            size = tasks[name].num_classes
            counts = torch.bincount(true * size + predicted, minlength=size * size).reshape(size, size)
            names = [tasks[name].class_name(label) for label in range(size)]
            draw_confusion(counts, names, f"{name}: {len(true)} test samples{of}", _confusion(folder, name))
            sure[name] = (scores, (predicted == true).float())
        if sure:
            draw_reliability(sure, folder / "calibration.png")


def _confusion(folder: Path, task: str) -> Path:
    return folder / f"confusion_{task}.png"
