"""Any method of TorchJD, by its name: weightings of a Gramian, aggregators of gradients, scalarizers of losses.

Needs the extra: `pip install "mtl[torchjd]"`. Some of TorchJD's classes ask for packages of their own (cvxpy,
quadprog), and say which.
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
    """A TorchJD object made at the first call, and its state, most of which TorchJD keeps outside of `state_dict`."""

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
        # its public classes only: a module has other names too, and a config must not reach what they lead to
        if self.class_name not in package.__all__:
            raise ValueError(
                f"{self.module} has no class {self.class_name!r}.{did_you_mean(self.class_name, package.__all__)} "
                f"It has {', '.join(package.__all__)}."
            )
        return getattr(package, self.class_name)

    def make_state(self, num_tasks: int) -> None:
        cls = self._class()
        parameters = inspect.signature(cls.__init__).parameters
        # the learned scalarizers (UW, FAMO, IMTL-L) ask for the number of tasks
        shape = {"shape": num_tasks} if "shape" in parameters and "shape" not in self.arguments else {}
        self.inner: nn.Module = cls(**shape, **self.arguments)

    def _all_present(self, index_K: Tensor) -> None:
        # an object without state takes any number of tasks
        if len(index_K) != self.num_tasks and (hasattr(self.inner, "reset") or list(self.inner.parameters())):
            raise ValueError(
                f"TorchJD's {self.class_name} keeps one entry for each task and cannot leave tasks out; "
                f"{len(index_K)} of {self.num_tasks} have labels in this batch. Use a method of mtl, or larger batches."
            )

    def get_extra_state(self) -> dict[str, Any]:
        inner = getattr(self, "inner", None)
        known = vars(inner).items() if inner is not None else ()
        return {name: value for name, value in known if name != "training" and _is_state(value)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self.inner, name, value)


class TorchJDWeighting(_TorchJD, GradientWeighting):
    """A weighting of TorchJD that looks at the Gramian.

        method = TorchJDWeighting("UPGradWeighting")
        weights = method(gramian, losses)  # the losses are not looked at

    Args:
        torchjd_class: a class of `torchjd.aggregation` whose name ends in `Weighting`.
        arguments: of its constructor; lists become tensors.
    """

    paper = _PAPER

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls("MGDAWeighting")

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self._all_present(index_K)
        return _tensor(self.inner(gramian_KK))


class TorchJDAggregator(_TorchJD, GradientAggregation):
    """An aggregator of TorchJD that looks at the task gradients.

        method = TorchJDAggregator("TrimmedMean", {"trim_number": 1})
        update = method(gradients)

    Args:
        torchjd_class: a class of `torchjd.aggregation`.
        arguments: of its constructor; lists become tensors.
    """

    paper = _PAPER

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls("ConFIG")

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self._all_present(index_K)
        return _tensor(self.inner(gradients_KP))


class TorchJDScalarizer(_TorchJD, LossWeighting):
    """A scalarizer of TorchJD that looks at the losses; `step` and `update` of those that have them are called.

        method = TorchJDScalarizer("GeometricMean")
        objective = method(losses)

    TorchJD's FAMO keeps an optimiser of its own that is not saved; ours is exact after a resume.

    Args:
        torchjd_class: a class of `torchjd.scalarization`.
        arguments: of its constructor; lists become tensors. The number of tasks is given to those that ask for it.
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
