"""Balanced sampling: rare classes of one task are drawn more often, common ones less; an epoch stays as long as it was.

Source: Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018, section 2.2, whose square
root is a power of 0.5 here.
Shapes: N samples, P groups.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtl.data.mixed.plan import Numbers, draws_of, spread_draws
from mtl.data.sampling import EpochSampler
from mtl.errors import check_names


class BalancedSampler(EpochSampler):
    """An order in which a class of n samples is drawn in proportion to n to the power of `1 - power`.

    An epoch has as many draws as samples, spread evenly, and every class has the same number of them in every epoch.
    Within a class each sample is drawn equally often over the epochs. Samples without a label keep their share.

    Args:
        dataset: the data set.
        groups: class of every sample, -1 without one.
        power: above 0; 1 draws all classes equally often, 0.5 is the square root.
        seed: seed of the order.
        num_replicas: number of ranks.
        rank: this rank.

    Raises:
        ValueError: if the groups do not fit the data set.
    """

    def __init__(
        self,
        dataset: Any,
        groups: Sequence[int],
        power: float = 1.0,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, seed, num_replicas, rank)
        groups_N = np.asarray(groups, np.int64)
        if len(groups_N) != len(dataset):
            raise ValueError(f"{len(groups_N)} classes do not fit {len(dataset)} samples.")
        found = np.unique(groups_N)
        self.members: list[Numbers] = [np.flatnonzero(groups_N == group) for group in found]
        sizes_P = np.array([len(members) for members in self.members], float)
        classes_P = found >= 0
        wanted_P = np.where(classes_P, sizes_P ** (1 - power), sizes_P)
        if classes_P.any():
            wanted_P[classes_P] *= sizes_P[classes_P].sum() / wanted_P[classes_P].sum()
        self.draws_P = draws_of(wanted_P / wanted_P.sum(), len(groups_N))

    def order(self) -> Numbers:
        return spread_draws(self.seed, self.epoch, self.members, self.draws_P)


def check_balance(balance: Mapping[str, float] | None, tasks: Mapping[str, Any]) -> None:
    """Refuse a setting `balance` that names no task, several, or a power outside 0..1.

    Args:
        balance: power by task.
        tasks: the tasks of the data, by name.

    Raises:
        ValueError: saying what may stand there.
    """
    if not balance:
        return
    check_names("balance", balance, "the data's tasks", tasks)
    if len(balance) > 1:
        raise ValueError(
            f"balance names {len(balance)} tasks ({', '.join(balance)}); an order of samples can be balanced by one. "
            "Keep the one that matters most, and set `class_weights: balanced` in the heads of the others."
        )
    ((name, power),) = balance.items()
    if not 0 < power <= 1:
        raise ValueError(
            f"balance of task {name!r} is {power}; expected a number above 0 and at most 1: 1 draws all classes "
            "equally often, 0.5 lies between that and the data as it is."
        )
