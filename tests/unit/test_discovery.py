"""A new file in a package is found by itself."""

import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import pytest

from mtl.discovery import by_kind, concrete_subclasses, import_modules


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    def area(self) -> float:
        return 1.0


class Circle(Shape):
    def area(self) -> float:
        return 3.0


class _Hidden(Square): ...


class Tall(Square, ABC):
    @abstractmethod
    def height(self) -> float: ...


class Door(Tall):
    def height(self) -> float:
        return 2.0


def test_concrete_public_classes_are_found_at_any_depth_in_order_of_name() -> None:
    assert [cls.__name__ for cls in concrete_subclasses(Shape)] == ["Circle", "Door", "Square"]


def test_a_new_file_is_imported_without_being_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "paper_heads"
    package.mkdir()
    (package / "__init__.py").write_text("from mtl.discovery import import_modules\nimport_modules(__name__)\n")
    (package / "first.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_modules("paper_heads")
    assert "paper_heads.first" in sys.modules


def test_a_broken_file_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "broken_heads"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bad.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        import_modules("broken_heads")


class Kind(ABC):
    kind: ClassVar[str]

    @abstractmethod
    def use(self) -> None: ...


class Apple(Kind):
    kind = "apple"

    def use(self) -> None: ...


def test_a_subclass_that_inherits_its_word_leaves_it_to_its_parent() -> None:
    class Aged(Apple): ...

    class Pear(Apple):
        kind = "pear"

    try:
        assert by_kind(Kind) == {"apple": Apple, "pear": Pear}  # type: ignore[type-abstract]
    finally:
        Aged.__name__, Pear.__name__ = "_Aged", "_Pear"  # hidden from the tests that follow


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    def define() -> type[Kind]:
        class Plum(Kind):
            kind = "plum"

            def use(self) -> None: ...

        return Plum

    first, second = define(), define()
    try:
        assert by_kind(Kind)["plum"] is second  # type: ignore[type-abstract]
    finally:
        first.__name__ = second.__name__ = "_Plum"


@pytest.mark.parametrize(("word", "message"), [(None, "Other is a subclass of Kind without a kind"), ("apple", "both")])
def test_a_class_without_a_word_or_with_one_that_is_taken_is_refused_by_name(word: str | None, message: str) -> None:
    class Other(Kind):
        def use(self) -> None: ...

    if word is not None:
        Other.kind = word
    try:
        with pytest.raises(ValueError, match=message):
            by_kind(Kind)  # type: ignore[type-abstract]
    finally:
        Other.__name__ = "_Other"


def test_a_class_that_stands_for_another_while_a_graph_is_taken_is_not_found() -> None:
    proxy = type("Proxy", (), {"__module__": "torch.fx.experimental.proxy_tensor"})
    stands_for = type("Circle", (proxy, Circle), {"__module__": Circle.__module__})
    assert stands_for in Circle.__subclasses__()
    assert [cls for cls in concrete_subclasses(Shape) if issubclass(cls, Circle)] == [Circle]
