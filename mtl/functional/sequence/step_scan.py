"""A loop over the steps of a sequence that exporters can follow: its graph has one step, for sequences of any length.

Shapes: T steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan

Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, Tensor]]


def scan_steps(step: Step, state: Tensor, rows: tuple[Tensor, ...], backwards: bool = False) -> tuple[Tensor, Tensor]:
    """Run a step over rows, each time with the state that the last one left.

    Args:
        step: from the state and one row of each tensor to the next state and what is kept of the step.
        state: what the first step gets.
        rows: tensors [T,...]; T is at least 1.
        backwards: from the last row to the first.

    Returns:
        The last state, and what was kept of every step, [T,...] in the order of the rows.
    """
    if torch.compiler.is_exporting():

        def apart(before: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            after, kept = step(before, row)
            return after, kept.clone()  # a graph takes and gives no tensor twice

        last, stacked = scan(apart, state.clone(), rows, dim=0, reverse=backwards)
        return last, stacked
    order = range(len(rows[0]))
    found = []
    for index in reversed(order) if backwards else order:
        state, kept = step(state, tuple(row[index] for row in rows))
        found.append(kept)
    return state, torch.stack(found[::-1] if backwards else found)
