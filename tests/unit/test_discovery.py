"""A new file in a package is found by itself."""

import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from mtl.discovery import concrete_subclasses, import_modules


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
