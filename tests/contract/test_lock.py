"""`requirements.lock` pins what `pyproject.toml` asks for, with hashes, from whatever index the reader uses."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "requirements.lock").read_text("utf-8")
ENTRIES = re.findall(r"^(\S.*?==\S.*?) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", TEXT, re.M)
ASKED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
MALICIOUS = ("2.6.2", "2.6.3")  # of lightning, GHSA-w37p-236h-pfx3


def pinned() -> dict[str, list[str]]:
    """Versions by name; a package may have one for older and one for newer Pythons."""
    versions: dict[str, list[str]] = {}
    for line, _ in ENTRIES:
        requirement = Requirement(line)
        versions.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    return versions


def test_every_line_is_a_pinned_package_a_hash_or_a_comment() -> None:
    rest = TEXT
    for line, hashes in ENTRIES:
        rest = rest.replace(f"{line} \\\n{hashes}", "")
    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
    assert len(ENTRIES) > len(ASKED)
    assert "://" not in TEXT, "the reader's index has the packages"


@pytest.mark.parametrize("asked", [Requirement(text) for text in ASKED], ids=lambda asked: asked.name)
def test_a_dependency_is_pinned_within_its_range(asked: Requirement) -> None:
    versions = pinned().get(asked.name, [])
    assert versions, "run `make lock`"
    assert all(asked.specifier.contains(version) for version in versions)


def test_the_malicious_releases_of_lightning_are_refused() -> None:
    asked = next(Requirement(text) for text in ASKED if Requirement(text).name == "lightning")
    assert not any(asked.specifier.contains(version) for version in MALICIOUS)
    assert asked.specifier.contains("2.6.6")
    for name in ("lightning", "pytorch-lightning"):
        assert not set(pinned()[name]) & set(MALICIOUS)


def test_ci_runs_on_every_python_that_we_name() -> None:
    workflow = (ROOT / ".github/workflows/test.yml").read_text("utf-8")
    assert 'python: ["3.11", "3.12", "3.13", "3.14"]' in workflow
