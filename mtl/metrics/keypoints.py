"""Share of keypoints that are found, and their distance from the truth.

Source: Yang, Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013: a point is found if its
error is at most a share (theirs is 0.1) of the larger side of the thing; here of the box around its annotated points.
Shapes: B samples, J points.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals
from mtl.targets.picture_edges import points_inside
from mtl.task import Task


class KeypointMetrics(TaskMetrics):
    """`pck` (share of the points that are found), `error_px` (mean distance), and `pck/<point>` on request.

    Distances are in pixels of the file, where the batch says how it was resized.
    `pck` leaves out pictures whose annotated points have no extent, such as a single one. Points outside the picture
    count at its edge, where `predict` puts them.

    Args:
        task: a task of kind `keypoints`.
        tolerance: largest error of a found point, as a share of the larger side of the box around the true points.
    """

    lower_is_better = frozenset({"error_px"})

    def __init__(self, task: Task, tolerance: float = 0.1) -> None:
        super().__init__(task)
        self.tolerance = tolerance
        self.totals = Totals({"found": task.num_classes, "of": task.num_classes, "distance": 1, "points": 1})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        true_BJ2 = batch[self.task.name].double()
        known_BJ = true_BJ2.isfinite().all(-1) & labelled(batch, self.task)[:, None]
        found_BJ2 = points_inside(predictions["points"].double(), batch)
        if "to_original" in batch:
            scale_B12 = batch["to_original"][:, None, :2].double()
            true_BJ2, found_BJ2 = true_BJ2 * scale_B12, found_BJ2 * scale_B12
        error_BJ = (found_BJ2 - true_BJ2).norm(dim=-1).masked_fill(~known_BJ, 0)
        hidden_BJ1 = ~known_BJ[..., None]
        sides_B2 = true_BJ2.masked_fill(hidden_BJ1, -torch.inf).amax(1)
        sides_B2 = sides_B2 - true_BJ2.masked_fill(hidden_BJ1, torch.inf).amin(1)
        size_B1 = sides_B2.amax(-1, keepdim=True)
        counts_BJ = known_BJ & (size_B1 > 0)
        self.totals.update(
            found=(counts_BJ & (error_BJ <= self.tolerance * size_B1)).sum(0),
            of=counts_BJ.sum(0),
            distance=error_BJ.sum(),
            points=known_BJ.sum(),
        )

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        sums = self.totals.compute()
        values: dict[str, Tensor] = {}
        if sums["of"].sum():
            values["pck"] = (sums["found"].sum() / sums["of"].sum()).float()
        if sums["points"]:
            values["error_px"] = (sums["distance"] / sums["points"]).float()
        if per_class:
            shares = zip(sums["found"].reshape(-1), sums["of"].reshape(-1), strict=True)
            values |= {f"pck/{self.task.class_name(i)}": (a / b).float() for i, (a, b) in enumerate(shares) if b}
        return values

    def reset(self) -> None:
        self.totals.reset()
