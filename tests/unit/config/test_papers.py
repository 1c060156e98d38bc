import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mtl
from mtl.cli.main import main
from mtl.config.import_policy import allow_imports, is_allowed
from mtl.config.papers import import_papers, installed_papers, is_of_a_paper
from mtl.config.yaml_lines import ConfigError

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with an entry point on the search path, as pip does."""
    place = tmp_path / "place"
    monkeypatch.syspath_prepend(str(place))

    def install(package: str, source: str = "", value: str | None = None, place: Path = place) -> Path:
        (place / package).mkdir(parents=True)
        (place / package / "__init__.py").write_text(source)
        info = place / f"{package}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}-code\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[mtl.papers]\n{package} = {value or package}\n")
        # the search is remembered for each search path
        monkeypatch.syspath_prepend(str(tmp_path / f"empty_{package}"))
        return place

    before = set(sys.modules)
    yield install
    for name in sys.modules.keys() - before:
        if name.startswith("paper_"):
            del sys.modules[name]


def test_an_installed_paper_is_found_imported_and_allowed(install: Install) -> None:
    install("paper_found")
    assert installed_papers()["paper_found"] == "paper_found-code"
    assert "paper_found" not in sys.modules
    import_papers()
    assert "paper_found" in sys.modules
    allow_imports()
    assert is_allowed("paper_found.methods.Mine")
    assert not is_allowed("paper_found_by_others.methods.Mine")
    assert is_of_a_paper("paper_found.methods")
    assert not is_of_a_paper("paper_foundling")


def test_what_lies_in_the_current_folder_is_not_installed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install("paper_here")
    monkeypatch.chdir(place)
    for name in ("", ".", str(place)):
        monkeypatch.setattr(sys, "path", [name, *sys.path])
        assert "paper_here" not in installed_papers()
    allow_imports()
    assert not is_allowed("paper_here.methods.Mine")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_here", "ModuleNotFoundError: No module named 'nothing_here' (.*__init__.py:1)"),
        ("def broken(:", "SyntaxError: "),
        ("\n1 / 0", "ZeroDivisionError: division by zero (.*__init__.py:2)"),
    ],
)
def test_a_paper_that_cannot_be_imported_is_named_with_the_way_out(
    install: Install, source: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install("paper_broken", source)
    pattern = "installed paper 'paper_broken' cannot be imported: " + reason.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ConfigError, match=f"{pattern}.*pip uninstall paper_broken-code"):
        import_papers()
    assert main(["list", "heads"]) == 2
    assert "pip uninstall paper_broken-code" in capsys.readouterr().err
    assert main(["--version"]) == 0, "a broken paper stops only what builds or lists classes"


def test_an_entry_point_must_name_a_package(install: Install) -> None:
    install("paper_odd", value="paper_odd.methods:Mine")
    with pytest.raises(ConfigError, match="names 'paper_odd.methods:Mine'; .* must name a package.*paper_odd-code"):
        installed_papers()


def test_a_short_name_of_mtl_is_refused(install: Install) -> None:
    source = "from mtl.heads.whole import regression as r\nclass RegressionHead(r.RegressionHead): pass\n"
    place = install("paper_twin", source)
    # in a process of its own: other tests would find the head
    environment = {**os.environ, "PYTHONPATH": f"{Path(mtl.__file__).parents[1]}{os.pathsep}{place}"}
    words = [sys.executable, "-m", "mtl", "list", "heads"]
    done = subprocess.run(words, cwd=place.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert (
        "paper_twin.RegressionHead, of an installed paper, and mtl.heads.whole.regression.RegressionHead have" in said
    )
