"""The shape of the repository: what stands where, how long a file may be, and what every file must say.

Papers, packages that `make paper` puts beside `mtl`, are left out: their authors decide about them.
"""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mtl.cli.paper import make_paper

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"mtl", "configs", "notebooks", "tests"}
TOP_LEVEL = FOLDERS | {"pyproject.toml", "README.md", "Makefile", "LICENSE", "CITATION.cff"}
TOP_LEVEL |= {"CHANGELOG.md", "CONTRIBUTING.md", "requirements.lock"}
MOST_LINES = 400
MOST_LINES_OF_THE_LOOP = 250
MOST_MODULES = 25
FLAT = {"mtl/balancing"}  # a method a file
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
# words of one machine; put together here, so that this file does not hold them itself
MACHINE_WORDS = [f"/{folder}/" for folder in ("work", "root", "home", "tmp")] + ["pypi" + ".", "index" + "-url"]


@cache
def tracked() -> list[Path]:
    """Files that git would commit; every file below the known folders where there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for name in FOLDERS for path in (ROOT / name).rglob("*")]
    files = [ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file()]
    papers = {file.parent for file in files if file.parent.parent == ROOT and is_paper(file)}
    return [path for path in files if "__pycache__" not in path.parts and not papers & set(path.parents)]


def is_paper(file: Path) -> bool:
    """Whether a file is the pyproject.toml of a paper."""
    if file.name != "pyproject.toml":
        return False
    return "mtl.papers" in tomllib.loads(file.read_text("utf-8")).get("project", {}).get("entry-points", {})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> list[str]:
    return [name_of(path) for path in tracked() if path.suffix == ".py" and name_of(path).startswith(folders)]


def public_definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Public classes and functions of a module, but for tests and methods, many of which override a documented one."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith(("_", "test_")):
            yield node.name, node


def test_top_level_holds_only_what_the_design_names() -> None:
    found = {name_of(path).split("/")[0] for path in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_a_paper_is_known_by_its_entry_point(tmp_path: Path) -> None:
    assert is_paper(make_paper("some_paper", tmp_path) / "pyproject.toml")
    assert not is_paper(ROOT / "pyproject.toml")
    assert not is_paper(ROOT / "README.md")


@pytest.mark.parametrize("file", python_files("mtl/", "tests/"))
def test_file_is_short_and_named_for_what_it_holds(file: str) -> None:
    path = ROOT / file
    assert path.read_text("utf-8").count("\n") <= MOST_LINES
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("file", python_files("mtl/"))
def test_module_says_what_it_is(file: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / file).read_text("utf-8"))), "needs a docstring of one sentence"


@pytest.mark.parametrize("folder", sorted({Path(file).parent.as_posix() for file in python_files("mtl/")} - FLAT))
def test_folder_can_be_read_at_a_glance(folder: str) -> None:
    assert len([file for file in python_files("mtl/") if Path(file).parent.as_posix() == folder]) <= MOST_MODULES


def test_the_loop_fits_in_the_head_of_a_newcomer() -> None:
    assert (ROOT / "mtl/module.py").read_text("utf-8").count("\n") <= MOST_LINES_OF_THE_LOOP


@pytest.mark.parametrize("file", python_files("mtl/"))
def test_every_public_class_and_function_has_a_docstring(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert not [name for name, node in public_definitions(tree) if not ast.get_docstring(node)]


@pytest.mark.parametrize("file", [name for name in python_files("tests/") if Path(name).stem.startswith("test_")])
def test_every_test_can_fail(file: str) -> None:
    assert not find_tests_that_cannot_fail((ROOT / file).read_text("utf-8"))


def find_tests_that_cannot_fail(source: str) -> list[str]:
    """Names of the tests that neither assert nor expect an error, in themselves or in a function of their file."""
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def checks(node: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        for child in ast.walk(node):
            if isinstance(child, ast.Assert):
                return True
            if isinstance(child, ast.Call):
                name = child.func.attr if isinstance(child.func, ast.Attribute) else getattr(child.func, "id", "")
                if name in ("raises", "warns", "fail", "assert_close", "gradcheck") or name.startswith("assert_"):
                    return True
                if name in functions and name not in seen and checks(functions[name], seen | {name}):
                    return True
        return False

    return [name for name, node in functions.items() if name.startswith("test_") and not checks(node)]


def test_a_test_without_assertion_is_found() -> None:
    source = (
        "def test_a():\n    f()\ndef test_b():\n    assert 1\ndef test_c():\n    check()\ndef check():\n    assert 1"
    )
    assert find_tests_that_cannot_fail(source) == ["test_a"]


@pytest.mark.parametrize("word", MACHINE_WORDS)
def test_no_file_knows_the_machine_it_was_written_on(word: str) -> None:
    def holds(path: Path) -> bool:
        try:
            return word in path.read_text("utf-8")
        except UnicodeDecodeError:  # a picture
            return False

    assert not [name_of(path) for path in tracked() if holds(path)]
