"""`python -m mtl paper`: the package that it makes works as it is, once it is installed."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from mtl.cli.main import main
from mtl.cli.paper import make_paper

ROOT = Path(__file__).resolve().parents[3]
NAME = "offspring"
SMALL = (
    "--trainer.max_steps 3 --trainer.log_every_n_steps 1 --data.num_train 96 --data.num_val 16 --data.num_test 16 "
    "--tracking.wandb off"
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a paper that is installed for those who have its `src` on their search path."""
    folder = make_paper(NAME, tmp_path_factory.mktemp("papers"))
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / "src" / f"{project['name']}-{project['version']}.dist-info"  # what pip writes
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["mtl.papers"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[mtl.papers]", *lines]))
    return folder


def run(paper: Path, *words: str, cwd: Path | None = None) -> str:
    path = f"{ROOT}{os.pathsep}{paper / 'src'}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd or paper, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_commands_of_its_readme_work(paper: Path) -> None:
    text = (paper / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 24
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.S)
    said = {}
    for line in block.splitlines():
        assert line.startswith("python -m ")
        more = SMALL.split() if " fit " in line else ["-p", "no:cacheprovider"] if "pytest" in line else []
        said[line.split()[3] if "mtl" in line else "pytest"] = run(paper, *shlex.split(line)[2:], *more)
    assert said["list"].startswith(f"{NAME}.methods.Mine\n")
    assert "Mine: 0 of 3 done" in said["compare"]
    assert "2 passed" in said["pytest"]
    (config,) = paper.glob("runs/mine/*/config.yaml")
    assert f"class_path: {NAME}.methods.Mine" in config.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.nightly
def test_its_method_stands_in_the_list_and_in_every_comparison(paper: Path) -> None:
    listed = run(paper, "mtl", "list", "methods", cwd=ROOT)
    assert re.search(rf"  Mine .*\(gradient weighting, from {NAME}\)", listed)
    planned = run(paper, "mtl", "compare", "--config", "configs/compare/digits.yaml", "--dry_run", cwd=ROOT)
    assert "  Mine: 0 of 3 done" in planned


@pytest.mark.slow
@pytest.mark.nightly
def test_its_method_and_its_config_pass_the_contract_tests(paper: Path) -> None:
    chosen = ["--contract", f"{NAME}.methods.Mine", "--contract", str(paper / "configs/mine.yaml")]
    files = [f"tests/contract/test_{name}.py" for name in ("methods", "methods_in_trainer", "configs")]
    said = run(paper, "pytest", "-q", "-rp", "-p", "no:cacheprovider", *chosen, *files, cwd=ROOT)
    passed = [line for line in said.splitlines() if line.startswith("PASSED")]
    assert len([line for line in passed if "Mine" in line]) > 60
    assert [line for line in passed if "test_every_config_trains" in line]
    assert "failed" not in said


def test_nothing_of_it_has_the_name_of_the_template(paper: Path) -> None:
    texts = {file: file.read_text("utf-8") for file in paper.rglob("*.*") if file.suffix in (".py", ".toml", ".md")}
    assert len(texts) >= 5
    assert not [file for file, text in texts.items() if "mypaper" in text or "mypaper" in file.name]


def test_its_config_is_the_quick_start(paper: Path) -> None:
    plain = yaml.safe_load((paper / "configs/plain.yaml").read_text("utf-8"))
    assert plain == yaml.safe_load((ROOT / "configs/digits.yaml").read_text("utf-8"))


def test_its_code_is_tidy(paper: Path) -> None:
    pytest.importorskip("ruff")
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        run(paper, "ruff", *words, ".")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Paper", "the name 'My-Paper' cannot be a package; .* For example my_paper."),
        ("class", "the name 'class' cannot be a package; .* no word of Python.$"),
        ("torch", "'torch' is already a module"),
        ("wave", "'wave' is already a module"),
        ("scikit_learn", "'scikit_learn' is already"),
        ("taken", "taken exists already; choose another name"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    assert main(["paper", name, "--to", str(tmp_path)]) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["paper", NAME]) == 0
    assert f"pip install -e {NAME}" in capsys.readouterr().out
    assert (tmp_path / NAME / "src" / NAME / "methods.py").is_file()
