"""The container: its image has a Python that the package allows, and it runs what README promises."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / ".devcontainer/Dockerfile").read_text("utf-8")


def test_the_image_has_a_python_that_the_package_allows() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    (version,) = re.findall(r"^FROM python:(\d+)\.(\d+)-slim", DOCKERFILE, re.MULTILINE)
    least = tuple(map(int, needed.removeprefix(">=").split(".")))
    assert tuple(map(int, version)) >= least


def test_the_container_runs_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    (ran,) = re.findall(r'^CMD \["make", "([a-z-]+)"\]$', DOCKERFILE, re.MULTILINE)
    assert ran == "fit"
    assert {ran, *re.findall(r"^RUN make ([a-z-]+)$", DOCKERFILE, re.MULTILINE)} <= targets


def test_the_editor_builds_a_stage_of_the_same_file() -> None:
    settings = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert settings["build"]["target"] in re.findall(r" AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert settings["postCreateCommand"] == "make install"


def test_neither_runs_nor_environments_travel_into_the_image() -> None:
    left_out = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".venv*", "runs", "data", "wandb"} <= set(left_out)
    assert not {"mtl", "configs", "tests", "Makefile", "README.md"} & set(left_out)
