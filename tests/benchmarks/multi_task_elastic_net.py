"""Multi-task elastic net where every task has rows of its own: columns are chosen for all tasks at once.

Objective: 1/(2n) * sum over tasks of |y_k - X_k w_k|^2 + alpha * r * |W|_21 + alpha * (1 - r) / 2 * |W|^2, with n the
mean number of rows of a task. That is scikit-learn's `MultiTaskElasticNet` where all tasks share their rows; that class
needs every target of every row. Solved by FISTA: Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for
Linear Inverse Problems", SIAM J. Imaging Sciences 2, 2009.
Shapes: K tasks, D columns.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def multi_task_elastic_net(
    rows: Sequence[Array], targets: Sequence[Array], alpha: float, l1_ratio: float = 0.5, steps: int = 1000
) -> tuple[Array, Array]:
    """Weights [K,D] and intercepts [K].

    Args:
        rows: columns of each task's rows.
        targets: of each task's rows.
        alpha: weight of the penalty.
        l1_ratio: share of the norm that makes whole columns 0, 0 to 1.
        steps: iterations.
    """
    means, levels = [x.mean(0) for x in rows], [y.mean() for y in targets]
    count = np.mean([len(x) for x in rows])
    gram_KDD = np.stack([(x - m).T @ (x - m) / count for x, m in zip(rows, means, strict=True)])
    pull_KD = np.stack([(x - m).T @ (y - b) / count for x, m, y, b in zip(rows, means, targets, levels, strict=True)])
    ridge = alpha * (1 - l1_ratio)
    size = 1 / (max(np.linalg.eigvalsh(gram)[-1] for gram in gram_KDD) + ridge)
    weights_KD = ahead_KD = np.zeros_like(pull_KD)
    pace = 1.0
    for _ in range(steps):
        slope_KD = np.einsum("kde,ke->kd", gram_KDD, ahead_KD) - pull_KD + ridge * ahead_KD
        moved_KD = ahead_KD - size * slope_KD
        length_D = np.linalg.norm(moved_KD, axis=0)
        new_KD = moved_KD * np.maximum(0, 1 - size * alpha * l1_ratio / np.maximum(length_D, 1e-300))
        next_pace = (1 + (1 + 4 * pace**2) ** 0.5) / 2
        ahead_KD = new_KD + (pace - 1) / next_pace * (new_KD - weights_KD)
        weights_KD, pace = new_KD, next_pace
    return weights_KD, np.array([b - m @ w for b, m, w in zip(levels, means, weights_KD, strict=True)])
