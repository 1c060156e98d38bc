"""`Partition`: which parameters the tasks share, and which belong to one task alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Partition:
    """Every parameter of a model exactly once.

    Args:
        shared: parameters that the gradients of all tasks reach.
        own: parameters of each task, by its name, in the order of the losses.

    Raises:
        ValueError: if a parameter stands there twice.
    """

    shared: list[nn.Parameter]
    own: dict[str, list[nn.Parameter]]

    def __post_init__(self) -> None:
        all_of_them = [*self.shared, *(p for parameters in self.own.values() for p in parameters)]
        if len({id(parameter) for parameter in all_of_them}) < len(all_of_them):
            raise ValueError("a parameter is listed twice; one that several tasks use belongs to `shared` alone.")

    @property
    def names(self) -> list[str]:
        """Names of the tasks."""
        return list(self.own)


def partition(shared: Iterable[nn.Parameter], own: Mapping[str, Iterable[nn.Parameter]]) -> Partition:
    """Parameters by owner; what two tasks hold, or a task and the shared part, is shared.

    Args:
        shared: parameters of all tasks.
        own: parameters of each task, by its name.
    """
    owners: dict[int, set[str]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for owner, group in [("", shared), *own.items()]:
        for parameter in group:
            owners.setdefault(id(parameter), set()).add(owner)
            parameters[id(parameter)] = parameter
    found: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *own)}
    for key, names in owners.items():
        found[next(iter(names)) if len(names) == 1 else ""].append(parameters[key])
    return Partition(found.pop(""), found)


def trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters that learn at present.

    Args:
        parameters: any parameters.
    """
    return [parameter for parameter in parameters if parameter.requires_grad]
