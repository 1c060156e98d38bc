"""Which tasks should share a network: the best groups under a budget of networks.

Source: Standley et al., "Which Tasks Should Be Learned Together in Multi-task Learning?", ICML 2020, section 4 (branch
and bound over groups), with the score of TAG (Fifty et al., NeurIPS 2021): a task's affinity in a group is the mean
over the others of what they do for it.
Shapes: K tasks.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.cluster import SpectralClustering
from torch import Tensor

MOST_EXACT = 10  # tasks up to which the exact search is quick

Groups = list[list[int]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]


def group_tasks(affinity_KK: Tensor, networks: int, alone: float = 0.0) -> tuple[Groups, float]:
    """Partition of the tasks into at most so many groups with the largest total affinity.

    Args:
        affinity_KK: row i, column j is what task i does for task j; the diagonal does not count.
        networks: most groups.
        alone: the value of a task that shares with nobody; affinities below it argue for a network of its own.

    Returns:
        Groups of task indices in order, and the total over tasks.

    Raises:
        ValueError: for a budget out of range, or an affinity that is not finite.
    """
    tasks = len(affinity_KK)
    if not 1 <= networks <= tasks:
        raise ValueError(f"networks={networks} must be within 1..{tasks}, the number of tasks.")
    values = affinity_KK.double().numpy().copy()
    np.fill_diagonal(values, 0.0)
    if not np.isfinite(values).all():
        raise ValueError("the affinity of some pair of tasks is not known; measure on more batches.")
    search = _branch_and_bound if tasks <= MOST_EXACT else _spectral
    found = search(values, networks, alone)
    return found, sum(_score(values, group, alone) for group in found)


def _score(values: Matrix, group: list[int], alone: float) -> float:
    if len(group) == 1:
        return alone
    return float(values[np.ix_(group, group)].sum() / (len(group) - 1))


def _branch_and_bound(values: Matrix, networks: int, alone: float) -> Groups:
    best: tuple[float, Groups] = (-math.inf, [])

    def settle(task: int, groups: Groups) -> None:
        nonlocal best
        if task == len(values):
            total = sum(_score(values, group, alone) for group in groups)
            if total > best[0] + 1e-12:
                best = (total, groups)
        elif _most(values, groups, task, alone) > best[0] + 1e-12:
            for groups_next in _placed(task, groups, networks):
                settle(task + 1, groups_next)

    settle(0, [])
    return best[1]


def _most(values: Matrix, groups: Groups, task: int, alone: float) -> float:
    """No completion is worth more: a mean over partners is at most the best partner that a task can still have."""
    later = list(range(task, len(values)))
    partners = [(member, [*group, *later]) for group in groups for member in group]
    partners += [(member, list(range(len(values)))) for member in later]
    return sum(max([alone, *(float(values[i, j]) for i in others if i != j)]) for j, others in partners)


def _placed(task: int, groups: Groups, networks: int) -> Iterator[Groups]:
    for index in range(len(groups)):
        yield [[*group, task] if place == index else group for place, group in enumerate(groups)]
    if len(groups) < networks:
        yield [*groups, [task]]


def _spectral(values: Matrix, networks: int, alone: float) -> Groups:
    symmetric = (values + values.T) / 2
    weights = symmetric - symmetric.min()
    np.fill_diagonal(weights, weights.max())
    best: tuple[float, Groups] = (-math.inf, [])
    for count in range(1, networks + 1):
        if count == 1:
            labels = np.zeros(len(values), dtype=int)
        else:
            labels = SpectralClustering(count, affinity="precomputed", random_state=0).fit_predict(weights)
        groups = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
        total = sum(_score(values, group, alone) for group in groups)
        best = max(best, (total, groups), key=lambda found: found[0])
    return best[1]
