"""What a data module of one's own declares to the command line."""

from types import MappingProxyType
from typing import Any

import pytest
from jsonargparse import Namespace

from mtl.cli.trainer.config_sections import inputs_of, tasks_of
from mtl.data.module import JointDataModule
from mtl.task import Inputs, InputSpec, Task


class Plain(JointDataModule):
    inputs: Inputs = MappingProxyType({"row": InputSpec("row", "table", 3)})

    def __init__(self, root: str) -> None:
        super().__init__(self.declare_tasks(root=root))

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {"kind": Task("kind", "classification", 2)}


class Narrow(Plain):
    @classmethod
    def declare_tasks(cls) -> dict[str, Task]:  # type: ignore[override]
        return {}


class Faulty(Plain):
    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        raise TypeError("of its own")


def data(cls: type[JointDataModule]) -> Namespace:
    return Namespace(class_path=f"{__name__}.{cls.__name__}", init_args=Namespace(root="here"))


def test_inputs_of_the_class_are_those_that_the_model_is_built_for() -> None:
    assert list(inputs_of(data(Plain))) == ["row"]
    assert inputs_of(data(Plain))["row"]["kind"] == "table"


def test_arguments_that_are_not_taken_are_named_with_the_way_out() -> None:
    with pytest.raises(
        ValueError, match=r"Narrow.declare_tasks cannot be called.*'root'.*`def declare_tasks\(cls, \*\*_\)`"
    ):
        tasks_of(data(Narrow))


def test_a_fault_inside_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="of its own"):
        tasks_of(data(Faulty))
