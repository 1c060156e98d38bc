"""At the first step: which parameters each task reaches, and whether the cut is what the architecture says.

A balancing method sees what passes the cut. What reaches a shared parameter around it, or another task's own
parameters, would get a wrong gradient without an error, so it is refused by name.
Shapes: K tasks, L levels of the cut.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from mtl.balancing.engine.partition import trainable
from mtl.batch import Batch, labelled
from mtl.features import Features
from mtl.functional.on_host import read_on_host
from mtl.heads.head import Head
from mtl.model import MultiTaskModel

_log = logging.getLogger(__name__)
_FEW = 2  # samples


@dataclass(frozen=True)
class Reach:
    """What the losses of a model reach behind its cut.

    Args:
        levels: levels of the cut that each task reads, by task.
        behind: names of shared parameters that are used behind the cut.
        around: names of shared parameters that a loss reaches by another way than the cut.
        foreign: (task, owner, parameter): a task whose loss reaches what belongs to another.
        before: (owner, parameter): what belongs to a task and is used before the cut.
    """

    levels: dict[str, frozenset[str]]
    behind: tuple[str, ...]
    around: tuple[str, ...]
    foreign: tuple[tuple[str, str, str], ...]
    before: tuple[tuple[str, str], ...] = ()

    @property
    def apart(self) -> list[tuple[str, str]]:
        """Pairs of tasks that read no level in common."""
        return [(a, b) for a, b in combinations(self.levels, 2) if not self.levels[a] & self.levels[b]]


def measure_reach(model: MultiTaskModel, batch: Batch) -> Reach:
    """Follow the losses of two samples back to the cut; weights, statistics and random numbers stay as they are.

    Args:
        model: the model, in training mode.
        batch: a batch as it trains on.
    """
    few: Batch = {key: value[:_FEW] if isinstance(value, Tensor) else value for key, value in batch.items()}
    partition = model.partition()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    shared = trainable(partition.shared)
    own = {name: trainable(parameters) for name, parameters in partition.own.items()}
    levels: dict[str, frozenset[str]] = {}
    foreign = []
    with _untouched(model):
        # once with a cut that has no graph, which shows what is used behind it; once with one, which shows ways around
        with torch.no_grad():
            cut = model.cut(few)
        behind: set[str] = set()
        for name in model.heads:
            seen, of_shared, of_others = _reached(model, name, cut, few, shared, own)
            levels[name] = seen
            behind |= {names[id(parameter)] for parameter in of_shared}
            foreign += [(name, owner, names[id(parameter)]) for owner, parameter in of_others]
        around: set[str] = set()
        cut = model.cut(few)
        for name in model.heads:
            _, of_shared, _ = _reached(model, name, cut, few, shared, own)
            around |= {names[id(parameter)] for parameter in of_shared} - behind
        before = [(owner, names[id(parameter)]) for owner, parameter in _before(cut, own)]
    return Reach(levels, tuple(sorted(behind)), tuple(sorted(around)), tuple(foreign), tuple(before))


def check_cut(model: MultiTaskModel, batch: Batch, at: str) -> Reach:
    """Refuse a model that a gradient method would train wrongly; warn of tasks that never meet.

    Args:
        model: the model, in training mode.
        batch: a batch as it trains on.
        at: `features` or `parameters`.

    Raises:
        ValueError: naming the parameters and the way out.
    """
    reach, architecture = measure_reach(model, batch), type(model.trunk).__name__
    if reach.foreign:
        task, owner, parameter = reach.foreign[0]
        raise ValueError(
            f"{parameter} belongs to task {owner!r} by its place, and the loss of task {task!r} reaches it, too. "
            "Register it in the trunk itself, outside of `of_task` and the heads: then it is shared."
        )
    if reach.before:
        owner, parameter = reach.before[0]
        raise ValueError(
            f"{parameter} belongs to task {owner!r} by its place, and {architecture} uses it before its cut, where "
            "gradients of all tasks pass. Use it in `view`, or register it in the trunk itself: then it is shared."
        )
    if reach.around:
        raise ValueError(
            f"the losses reach shared parameters ({_few(reach.around)}) around the cut of {architecture}: by a tensor "
            "that `cut` computes and does not return. Return it from `cut`, and read it there in `view`."
        )
    if at != "features":
        return reach
    if reach.behind:
        raise ValueError(
            f"shared parameters ({_few(reach.behind)}) are used behind the cut of {architecture}, where at='features' "
            "cannot weigh the tasks. Set `at: parameters`, or take a method on losses."
        )
    pairs = len(reach.levels) * (len(reach.levels) - 1) // 2
    if pairs and len(reach.apart) == pairs:
        read = "; ".join(f"{name}: {', '.join(sorted(levels)) or 'none'}" for name, levels in reach.levels.items())
        raise ValueError(
            f"no level of the cut of {architecture} is read by two tasks ({read}), so their gradients never meet at "
            "the features and every cosine would be 0. Set `at: parameters` (with `every: 4` at a quarter of its "
            "price), take a method on losses, or let the heads read a level in common."
        )
    if reach.apart:
        rank_zero_only(_log.warning)(
            "these tasks read no level in common, so that their gradients never meet at the features: "
            f"{', '.join(f'{a} and {b}' for a, b in reach.apart)}. Let their heads read one, or set `at: parameters`."
        )
    if disjoint := labelled_apart(model, batch):
        named = _few([f"{a} and {b}" for a, b in disjoint]) + (" (all pairs)" if len(disjoint) == pairs else "")
        rank_zero_only(_log.warning)(
            f"no sample of the first batch has labels of both {named}: at the features their gradients never meet, "
            "every cosine is 0, and a method that resolves conflicts is the plain sum. Set `at: parameters`, where "
            "tasks with samples of their own meet too."
        )
    return reach


def labelled_apart(model: MultiTaskModel, batch: Batch) -> list[tuple[str, str]]:
    """Pairs of tasks that both have labels in a batch, and of which no sample has both.

    Args:
        model: the model; its heads know their tasks.
        batch: a batch as it trains on.
    """
    tasks = {name: head.task for name, head in model.heads.items() if isinstance(head, Head)}
    masks_KB = read_on_host(torch.stack([labelled(batch, task) for task in tasks.values()]))
    masks = dict(zip(tasks, masks_KB, strict=True))
    there = [name for name, mask in masks.items() if mask.any()]
    return [(a, b) for a, b in combinations(there, 2) if not (masks[a] & masks[b]).any()]


def _reached(
    model: MultiTaskModel,
    name: str,
    cut: Features,
    batch: Batch,
    shared: Sequence[nn.Parameter],
    own: Mapping[str, Sequence[nn.Parameter]],
) -> tuple[frozenset[str], list[nn.Parameter], list[tuple[str, nn.Parameter]]]:
    """Levels, shared parameters and parameters of other tasks that one loss reaches from leaves at the cut."""
    leaves = {
        level: value.detach().requires_grad_() if value.is_floating_point() else value for level, value in cut.items()
    }
    floating = [level for level, value in leaves.items() if value.requires_grad]
    loss = model.loss(name, model.outputs(name, leaves), batch)
    others = [(owner, parameter) for owner, parameters in own.items() if owner != name for parameter in parameters]
    inputs = [*(leaves[level] for level in floating), *shared, *(parameter for _, parameter in others)]
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    there = iter(gradient is not None for gradient in found)
    of_levels = frozenset(level for level in floating if next(there))
    of_shared = [parameter for parameter in shared if next(there)]
    return of_levels, of_shared, [other for other in others if next(there)]


def _before(cut: Features, own: Mapping[str, Sequence[nn.Parameter]]) -> list[tuple[str, nn.Parameter]]:
    """Parameters of tasks that the cut itself is made with."""
    places = [(owner, parameter) for owner, parameters in own.items() for parameter in parameters]
    roots = [level for level in cut.values() if level.requires_grad]
    if not roots or not places:
        return []
    ones = [torch.ones_like(root) for root in roots]
    found = torch.autograd.grad(roots, [parameter for _, parameter in places], ones, allow_unused=True)
    return [place for place, gradient in zip(places, found, strict=True) if gradient is not None]


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    device = next(model.parameters()).device
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices, device_type=device.type if devices else "cuda"):
        yield
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
