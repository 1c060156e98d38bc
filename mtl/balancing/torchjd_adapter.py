"""Adapters for TorchJD: its weightings of a Gramian, aggregators of gradients and scalarizers of losses, by name.

Needs the extra: `pip install "mtl[torchjd]"`. Some TorchJD classes need further packages (cvxpy, quadprog); their error
message names them.
Source: https://torchjd.org.
Shapes: K tasks, P shared parameters (or feature values).
"""

import inspect
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.errors import did_you_mean, import_optional

_PAPER = "Quinton, Rey, Jacobian Descent for Multi-Objective Optimization, arXiv 2406.16232, 2024 (the library)"


class _TorchJD(Method):
    """Creates the TorchJD object at the first call and saves its state, most of which is not in its `state_dict`."""

    adapter = True
    module: ClassVar[str] = "torchjd.aggregation"
    class_name: str
    arguments: dict[str, Any]

    def __init__(self, torchjd_class: str, arguments: dict[str, Any] | None = None) -> None:
        super().__init__()
        module, _, self.class_name = torchjd_class.rpartition(".")
        if module not in ("", self.module):
            raise ValueError(f"torchjd_class={torchjd_class!r} must be the name of a class of {self.module}.")
        self.arguments = {
            name: torch.tensor(value) if isinstance(value, list) else value for name, value in (arguments or {}).items()
        }
        self._class()

    def _class(self) -> Any:
        package = import_optional(self.module, "torchjd")
        # public classes only: a config must not reach other names of the module
        if self.class_name not in package.__all__:
            raise ValueError(
                f"{self.module} has no class {self.class_name!r}.{did_you_mean(self.class_name, package.__all__)} "
                f"It has {', '.join(package.__all__)}."
            )
        return getattr(package, self.class_name)

    def make_state(self, num_tasks: int) -> None:
        cls = self._class()
        parameters = inspect.signature(cls.__init__).parameters
        # learned scalarizers (UW, FAMO, IMTL-L) need the number of tasks
        shape = {"shape": num_tasks} if "shape" in parameters and "shape" not in self.arguments else {}
        self.inner: nn.Module = cls(**shape, **self.arguments)

    def _all_present(self, index_K: Tensor) -> None:
        # objects without state accept any number of tasks
        if len(index_K) != self.num_tasks and (hasattr(self.inner, "reset") or list(self.inner.parameters())):
            raise ValueError(
                f"TorchJD's {self.class_name} keeps state per task, so every batch needs labels of all tasks; this one "
                f"has labels of {len(index_K)} of {self.num_tasks} tasks. Use a method of mtl, or larger batches."
            )

    def get_extra_state(self) -> dict[str, Any]:
        inner = getattr(self, "inner", None)
        known = vars(inner).items() if inner is not None else ()
        return {name: value for name, value in known if name != "training" and _is_state(value)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self.inner, name, value)


class TorchJDWeighting(_TorchJD, GradientWeighting):
    """A TorchJD weighting, which reads the Gramian.

        method = TorchJDWeighting("UPGradWeighting")
        weights = method(gramian, losses)  # the losses are ignored

    Args:
        torchjd_class: name of a class of `torchjd.aggregation` that ends in `Weighting`.
        arguments: constructor arguments; lists become tensors.
    """

    paper = _PAPER

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls("MGDAWeighting")

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self._all_present(index_K)
        return _tensor(self.inner(gramian_KK))


class TorchJDAggregator(_TorchJD, GradientAggregation):
    """A TorchJD aggregator, which reads the task gradients.

        method = TorchJDAggregator("TrimmedMean", {"trim_number": 1})
        update = method(gradients)

    Args:
        torchjd_class: name of a class of `torchjd.aggregation`.
        arguments: constructor arguments; lists become tensors.
    """

    paper = _PAPER

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls("ConFIG")

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self._all_present(index_K)
        return _tensor(self.inner(gradients_KP))


class TorchJDScalarizer(_TorchJD, LossWeighting):
    """A TorchJD scalarizer, which reads the losses; its `step` and `update` are called if it has them.

        method = TorchJDScalarizer("GeometricMean")
        objective = method(losses)

    TorchJD's FAMO has an internal optimiser that is not saved; `mtl.balancing.famo` resumes exactly.

    Args:
        torchjd_class: name of a class of `torchjd.scalarization`.
        arguments: constructor arguments; lists become tensors. `shape` defaults to the number of tasks.
    """

    paper = _PAPER
    module = "torchjd.scalarization"

    def __init__(self, torchjd_class: str, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(torchjd_class, arguments)
        self.losses_after_step = hasattr(self._class(), "update")

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls("STCH", {"mu": 1.0})

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self._all_present(index_K)
        return _tensor(self.inner(losses_K))

    def observe_step(self, losses: Tensor) -> None:
        update = getattr(self.inner, "update", None)
        if update is not None:
            update(losses)

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        step = getattr(self.inner, "step", None)
        if step is not None:
            step()


def _is_state(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, Tensor) for item in value)
    return value is None or isinstance(value, int | float | Tensor)


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
