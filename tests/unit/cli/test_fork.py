"""`make fork`: the copy has another name and nothing of the old one, and works."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mtl.cli.fork import KEPT, PACKAGE, ROOT, check_name, fork, main, renamed, renamed_file

NAME = "offspring"
# longer words of others that hold the name of this package
OTHERS = "nash_mtl nash-mtl db_mtl db-mtl aligned_mtl excess_mtl ldc-mtl libmtl mtl_backward"

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a fork is made of what git knows")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("forks") / NAME
    assert fork(NAME, target) > 400
    return target


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def texts(folder: Path) -> dict[str, str]:
    """Every text that git knows, by its path; what a notebook printed and drew left out."""
    found = {}
    for name in git(folder, "ls-files").splitlines():
        if name not in KEPT and (folder / name).suffix != ".jpg":
            lines = (folder / name).read_text("utf-8").splitlines()
            found[name] = "\n".join(line for line in lines if '"image/' not in line)
    return found


def classes(folder: Path) -> set[str]:
    trees = [ast.parse(path.read_text("utf-8")) for path in (folder / "balancing").glob("*.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from mtl.balancing.nash_mtl import NashMTL", "from offspring.balancing.nash_mtl import NashMTL"),
        ("class_path: mtl.heads.Mine", "class_path: offspring.heads.Mine"),
        ('mtl = ["py.typed"]; "mtl*"; "mtl[timm]"', 'offspring = ["py.typed"]; "offspring*"; "offspring[timm]"'),
        ("$(VENV)/.mtl-$(shell pwd)", "$(VENV)/.offspring-$(shell pwd)"),
        (r'"import os\nmtl.run"', r'"import os\noffspring.run"'),
        ("${MTL_VENV:-$HOME/.cache/mtl/venv}", "${OFFSPRING_VENV:-$HOME/.cache/offspring/venv}"),
        ("Nash-MTL_every5 DB-MTL MTL LibMTL IMTLG", "Nash-MTL_every5 DB-MTL MTL LibMTL IMTLG"),
        (OTHERS, OTHERS),
    ],
)
def test_only_the_word_itself_is_renamed(text: str, expected: str) -> None:
    assert renamed(text, NAME) == expected


def test_a_picture_in_a_notebook_stays_as_it_is() -> None:
    picture = f'"image/png": "AAAA+{PACKAGE}/BBBB"\n'
    assert renamed_file(f"{picture}import {PACKAGE}\n", NAME) == f"{picture}import {NAME}\n"


def test_nothing_of_the_old_name_is_left_in_the_copy(copy: Path) -> None:
    found = texts(copy)
    assert not [name for name in found if name.startswith(f"{PACKAGE}/")]
    stray = re.compile(rf"(?<![A-Za-z0-9_-]){PACKAGE}(?![A-Za-z0-9_])|(?<![\w-]){PACKAGE.upper()}_[A-Z]")
    assert not [(name, line) for name, text in found.items() for line in text.splitlines() if stray.search(line)]
    assert "MIT License" in (copy / "LICENSE").read_text("utf-8")
    assert (copy / "CITATION.cff").read_bytes() == (ROOT / "CITATION.cff").read_bytes()


def test_methods_keep_their_names_and_files(copy: Path) -> None:
    files = [{path.name for path in (folder / "balancing").glob("*.py")} for folder in (ROOT / PACKAGE, copy / NAME)]
    assert files[0] == files[1]
    assert "nash_mtl.py" in files[1]
    assert classes(ROOT / PACKAGE) == classes(copy / NAME) >= {"NashMTL", "DBMTL", "AlignedMTL"}


def test_the_copy_is_one_commit_that_says_where_it_comes_from(copy: Path) -> None:
    assert git(copy, "rev-list", "--count", "HEAD").strip() == "1"
    assert not git(copy, "status", "--porcelain")
    origin = re.search(rf"of {PACKAGE}, commit ([0-9a-f]{{40}})\b", git(copy, "log", "-1", "--format=%B"))
    assert origin
    assert git(ROOT, "cat-file", "-t", origin[1]).strip() == "commit"
    assert (copy / ".ci/run").stat().st_mode & 0o111


def test_the_settings_of_the_copy_name_the_new_package(copy: Path) -> None:
    settings = (copy / "pyproject.toml").read_text("utf-8")
    for line in (
        f'name = "{NAME}"',
        f'{NAME} = "{NAME}.cli.main:main"',
        f'include = ["{NAME}*"]',
        f'files = ["{NAME}"]',
    ):
        assert f"\n{line}\n" in settings
    assert f"python -m {NAME} fit --config" in (copy / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_copy_runs_tests_itself_and_forks_again(copy: Path, tmp_path: Path) -> None:
    listed = run(copy, "-m", NAME, "list", "methods")
    assert listed.returncode == 0, listed.stderr
    assert "NashMTL" in listed.stdout
    config = run(copy, "-m", NAME, "fit", "--config", "configs/digits_balanced.yaml", "--print_config")
    assert f"class_path: {NAME}.heads.centernet.CenterNetHead" in config.stdout, config.stderr
    small = ["tests/unit/test_batch.py", "tests/contract/test_layers.py", "tests/unit/balancing/test_nash_mtl.py"]
    tested = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *small)
    assert tested.returncode == 0, tested.stdout
    styled = run(copy, "-m", "ruff", "check", "--no-cache", ".")
    assert styled.returncode == 0, styled.stdout
    second = tmp_path / "second"
    again = run(copy, "-m", f"{NAME}.cli.fork", "grandchild_", "--to", str(second))
    assert "For example NAME=grandchild." in again.stderr
    name = "_".join(("second", "generation"))  # not a word of this file, which is copied too
    again = run(copy, "-m", f"{NAME}.cli.fork", name, "--to", str(second))
    assert again.returncode == 0, again.stderr
    assert not any(re.search(rf"\b{NAME}\b", text) for text in texts(second).values())
    assert classes(second / name) == classes(ROOT / PACKAGE)


def test_the_command_of_the_readme_makes_one(tmp_path: Path) -> None:
    name = f"{NAME}_of_{PACKAGE}"
    make = ["make", "fork", f"NAME={name}", f"TO={tmp_path / name}", f"PYTHON={sys.executable}"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "make test-fast\n" in done.stdout
    assert (tmp_path / name / name / "__main__.py").is_file()


def test_the_name_in_the_readme_can_be_taken() -> None:
    found = re.search(r"make fork NAME=(\w+)", (ROOT / "README.md").read_text("utf-8"))
    assert found
    if found[1] != PACKAGE:
        check_name(found[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "'' cannot be a package"),
        ("My-Paper", "cannot be a package.*For example NAME=my_paper"),
        ("class", "cannot be a package"),
        ("2d", "cannot be a package"),
        (PACKAGE, "called .* already"),
        ("email", "name of a module already"),
        ("torch", "name of a module already"),
        ("tests", "name of a module already"),
        ("digits", r"a word of this code already \(.*:\d+\).*for example digits_"),
    ],
)
def test_a_name_that_cannot_work_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_name(name)


def test_a_folder_in_use_is_refused_and_stays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert main([f"{NAME}_of_{NAME}", "--to", str(tmp_path)]) == 2
    assert "is there and not empty; a fork needs a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_fork_inside_of_the_checkout_is_refused() -> None:
    with pytest.raises(ValueError, match="inside of this checkout"):
        fork(NAME, ROOT / "runs" / NAME)
    assert not (ROOT / "runs" / NAME).exists()
