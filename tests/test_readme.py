"""Every command, link and example of README.md works: what cannot be run here is parsed, or looked up.

Blocks marked `bash` are commands, blocks marked `python` are run (```` ```python no-run ```` is only compiled), blocks
marked `yaml` are parsed. Commands with `--run` get a tiny run, and a folder of pictures for `--images`.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

from mtl.cli.main import main
from mtl.data.sources.fetch import sources

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TEXT = README.read_text("utf-8") if README.is_file() else ""
HARMLESS = {"git", "cd", "source", "export", "wandb", "ls", "cat", "tensorboard"}
SMALL = "--trainer.max_steps=2 --data.num_train=64 --data.num_val=20 --data.num_test=20 --data.eval_batch_size=20"

pytestmark = pytest.mark.skipif(not TEXT, reason="README.md is not written yet")


def blocks(*languages: str) -> list[tuple[str, str]]:
    """(info string, text) of every fenced block in one of these languages."""
    found = re.findall(r"^```([^\n`]+)\n(.*?)^```", TEXT, re.M | re.S)
    return [(info, text) for info, text in found if info.split()[0] in languages]


def commands() -> list[str]:
    """Single commands of the shell blocks, without prompts, comments, continuations and variables set in front."""
    lines = []
    for _, text in blocks("bash", "sh", "shell", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;", re.sub(r"(^|\s)#.*", "", line.removeprefix("$ "))):
                command = re.sub(r"^(\w+=\S*\s+)+", "", part.strip())
                lines += [command] if command else []
    return sorted(set(lines))


def mtl_words(command: str) -> list[str] | None:
    """What follows `mtl`, `python -m mtl` or `torchrun ... -m mtl`; None for other commands."""
    words = shlex.split(command)
    if words[0] == "mtl":
        return words[1:]
    if words[0] in ("python", "python3", "torchrun", "srun") and "-m" in words:
        start = words.index("-m") + 1
        return words[start + 1 :] if words[start] == "mtl" else None
    return None


OURS = [(command, words) for command in commands() if (words := mtl_words(command)) is not None]
OF_A_RUN = [words for _, words in OURS if {"--run", "--runs", "--resume", "--affinity"} & set(words)]
OTHERS = [command for command in commands() if mtl_words(command) is None]


@pytest.mark.parametrize("words", [words for _, words in OURS if words not in OF_A_RUN], ids=" ".join)
def test_command_of_mtl_is_understood(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    if words and words[0] in ("fit", "validate", "test") and not {"--help", "--help-all", "-h"} & set(words):
        words = [*words, "--print_config"]
    elif words[:1] in (["compare"], ["sweep"]):
        words = [*words, "--dry_run"]
    elif words[:1] == ["data"]:  # not from the network
        assert words[1] in sources()
        words = [*words, "--help"]
    elif words[:1] == ["new"]:
        for place in (tmp_path / f"{kind}/{number}.png" for kind in ("cats", "dogs") for number in range(6)):
            place.parent.mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), "gray").save(place)
        words = [words[0], str(tmp_path), "--to", str(tmp_path / "mine.yaml")]
    elif words[:1] == ["runs"]:  # a fresh clone has none
        words = [*words, "--runs_root", str(tmp_path)]
    elif words[:1] == ["affinity"]:
        words = [*words, "--batches", "2", "--output", str(tmp_path)]
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    assert not code, capsys.readouterr().err


@pytest.mark.parametrize("command", OTHERS)
def test_other_command_exists(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif "pip" in words:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        for names in re.findall(r"\[([\w,-]+)\]", command):
            assert set(names.split(",")) <= set(extras)
    elif words[0] == "pytest":
        assert words[1] == "--contract"
    elif words[0] in ("python", "python3"):
        target = words[words.index("-m") + 1].replace(".", "/") if "-m" in words else words[1].removesuffix(".py")
        assert words[1:3] == ["-m", "venv"] or (ROOT / target).with_suffix(".py").is_file() or (ROOT / target).is_dir()
    else:
        assert words[0] in HARMLESS or (ROOT / words[0]).is_file(), "a command that this test does not know"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:configs|notebooks|tests)/[\w./-]+\.\w+", TEXT))))
def test_file_that_the_text_names_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:|mailto:)([^)#\s]+)", TEXT))))
def test_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", TEXT))))
def test_anchor_is_a_heading(anchor: str) -> None:
    headings = re.findall(r"^#+ +(.*)$", TEXT, re.M)
    assert anchor in {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.slow
@pytest.mark.parametrize(("info", "code"), blocks("python"), ids=[str(i) for i in range(len(blocks("python")))])
def test_example_in_python_runs(info: str, code: str, tmp_path: Path) -> None:
    compile(code, "README.md", "exec")
    if "no-run" not in info:
        done = run([sys.executable, "-c", code])
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not OF_A_RUN, reason="no command of README.md reads a run")
def test_commands_that_read_a_run_work_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    fit = f"fit --config configs/digits.yaml --runs_root={tmp_path} --name=seed0 --tracking.wandb=off {SMALL}"
    assert main(fit.split()) == 0, capsys.readouterr().err
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (64, 64), "gray").save(pictures / "one.png")
    trained = tmp_path / "digits/seed0"
    stand_ins = {
        "--run": trained,
        "--resume": trained,
        "--runs": tmp_path,
        "--affinity": trained / "affinity/Lookahead.csv",
    }
    stand_ins |= {"--images": pictures, "--output": tmp_path / "found"}
    for words in OF_A_RUN:
        real = [str(stand_ins.get(before, word)) for before, word in zip(["", *words], words, strict=False)]
        assert main(real) == 0, f"{' '.join(words)}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("code", [text for _, text in blocks("yaml")], ids=lambda text: text.split("\n")[0])
def test_example_of_a_config_is_yaml(code: str) -> None:
    assert isinstance(yaml.safe_load(code), dict)


@pytest.mark.parametrize("code", [text for _, text in blocks("yaml") if re.search("^base:", text, re.M)])
def test_example_on_a_config_of_the_package_trains(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(code)
    fit = f"fit --config mine.yaml --name=first --tracking.wandb=off --test_after_fit=false {SMALL}"
    assert main(fit.split()) == 0, capsys.readouterr().err
    assert (tmp_path / "runs/mine/first/checkpoints/last.ckpt").is_file()


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)


def test_it_stays_short() -> None:
    assert len(TEXT.splitlines()) <= 260, "tables stand beside what reprints them"
    assert len(TEXT.encode()) <= 18_000
