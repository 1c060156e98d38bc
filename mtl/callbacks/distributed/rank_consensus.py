"""`RankConsensus`: ranks regularly agree on elapsed time and on stop requests, at the same step."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist

from mtl.distributed.ranks import num_ranks


class Poll(NamedTuple):
    """What all ranks have agreed on.

    Args:
        seconds: since `restart` was called, on the rank where it is longest.
        flag: the largest flag of any rank.
    """

    seconds: float
    flag: int


class RankConsensus:
    """Polls after every step in one process; with several, about every `every_s` seconds, in one message.

    Asking the other ranks at every step would cost as much as a small model's step. The pace of the last steps tells at
    which step to look next; since all ranks know the same pace, all ranks look at the same step.

    Args:
        every_s: seconds between two looks of several ranks.
        clock: seconds that only grow; wall clocks jump.
    """

    def __init__(self, every_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.every_s = every_s
        self.clock = clock
        self._group: dist.ProcessGroup | None = None
        self.start(0)

    def start(self, step: int) -> None:
        """Training begins.

        Args:
            step: optimiser steps done.
        """
        self._first_step = self._last_look = self._next_look = step
        self._since = self._looked_at = self.clock()

    def restart(self, pause_s: float = 0.0) -> None:
        """Count the seconds from now.

        Args:
            pause_s: or from so many seconds later.
        """
        self._since = self.clock() + max(pause_s, 0.0)

    def poll(self, step: int, flag: int = 0) -> Poll | None:
        """What all ranks agree on at a step with a poll; None at the other steps.

        Args:
            step: optimiser steps done, the same on every rank.
            flag: what this rank has to say.
        """
        now = self.clock()
        if num_ranks() == 1:
            return Poll(now - self._since, flag)
        if step < self._next_look:
            return None
        if self._group is None:
            # between hosts: a question to the GPUs would wait for all that they have to do
            group = dist.new_group(backend="gloo")
            assert isinstance(group, dist.ProcessGroup)
            self._group = group
        steps = max(step - self._last_look, 1)
        said = torch.tensor([now - self._since, flag, (now - self._looked_at) / steps], dtype=torch.float64)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group)
        seconds, flag_of_all, pace_s = said.tolist()
        # the first steps of a run are slow ones, so what is expected may only double
        most = max(step - self._first_step, 1)
        self._last_look, self._looked_at = step, now
        self._next_look = step + min(max(int(self.every_s / max(pace_s, 1e-9)), 1), most)
        return Poll(seconds, int(flag_of_all))

    def close(self) -> None:
        """Training is over; the group is gone with the others."""
        self._group = None
