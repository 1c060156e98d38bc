import json
from pathlib import Path

import pytest

from mtl.cli import listing
from mtl.cli.listing import entries
from mtl.cli.main import main
from mtl.scheduling.round_robin import RoundRobin


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, list[dict[str, object]]]:
    assert main(["list", *words, "--json"]) == 0
    found: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return found


def test_every_kind_is_listed_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert set(found) == {
        "heads",
        "methods",
        "schedules",
        "affinity",
        "backbones",
        "architectures",
        "inputs",
        "targets",
        "data",
        "sources",
        "callbacks",
        "configs",
    }
    head = next(entry for entry in found["heads"] if entry["name"] == "ClassificationHead")
    assert head["class_path"] == "mtl.heads.whole.classification.ClassificationHead"
    assert head["kinds"] == ["classification"]
    assert head["settings"]["dropout"] == "a number"  # type: ignore[index]
    assert "Head" not in [entry["name"] for entry in found["heads"]], "a base class cannot be used"


def test_one_kind_is_shown_with_descriptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "backbones"]) == 0
    said = capsys.readouterr().out
    assert "ResidualFPN  " in said
    assert "CenterNetHead" not in said


def test_one_class_is_shown_with_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "heads", "ClassificationHead"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mtl.heads.whole.classification.ClassificationHead\n")
    assert "    dropout: " in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["head"], "nothing of kind 'head' to list. Did you mean 'heads'?"),
        (["heads", "CentreNetHead"], "there is no 'CentreNetHead' in heads. Did you mean 'CenterNetHead'?"),
    ],
)
def test_what_is_not_there_is_told(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["list", *words]) == 2
    assert message in capsys.readouterr().err


def test_configs_are_described_by_their_first_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("# Find digits\n# in scenes. Takes two minutes.\nx: 1\n")
    (tmp_path / "b.yaml").write_text("x: 1\n")
    found = listed(capsys, "configs", "--configs", str(tmp_path))["configs"]
    assert [entry["description"] for entry in found] == ["Find digits in scenes", ""]


def test_a_class_of_a_test_or_a_notebook_is_not_listed() -> None:
    class Mine(RoundRobin):
        """Not a part of the package."""

    assert "RoundRobin" in [entry["name"] for entry in entries("schedules")]
    assert Mine.__name__ not in [entry["name"] for entry in entries("schedules")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Uncertainty", {"family": "loss weighting", "head_gradients": "weighted"}),
        ("CAGrad", {"family": "gradient weighting", "head_gradients": "own", "at": ["features", "parameters"]}),
        ("GradDrop", {"family": "gradient aggregation", "head_gradients": "own", "at": ["features", "parameters"]}),
    ],
)
def test_a_balancing_method_says_its_family_and_conventions(name: str, expected: dict[str, object]) -> None:
    entry = next(entry for entry in entries("methods") if entry["name"] == name)
    assert {key: entry[key] for key in entry if key in ("family", "head_gradients", "at")} == expected
    assert entry["class_path"].endswith(f".{name}")


def test_every_balancing_method_names_its_paper() -> None:
    methods = entries("methods")
    assert {entry["family"] for entry in methods} == set(listing.FAMILIES.values())
    assert [entry["name"] for entry in methods if not entry["paper"]] == []


def test_an_architecture_says_what_it_costs_beside_hard_sharing(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {str(entry["name"]): entry["cost"] for entry in listed(capsys, "architectures")["architectures"]}
    assert costs["HardSharing"] == dict.fromkeys(("parameters", "parameters_alone", "flops", "flops_alone"), 1.0)
    stitch, norm = costs["CrossStitch"], costs["TaskSpecificNorm"]
    assert stitch["parameters"] == pytest.approx(3, rel=0.01)  # type: ignore[index]
    assert norm["parameters"] < 1.1 < 2 < norm["flops"]  # type: ignore[index]
    assert norm["flops_alone"] == pytest.approx(1)  # type: ignore[index]
    assert all(costs.values()), "every architecture is measured on some trunk"
    assert main(["list", "architectures"]) == 0
    assert "3 x parameters" in " ".join(capsys.readouterr().out.split())
