"""The record of a folder of runs: written once, held to afterwards."""

from pathlib import Path

import pytest

from mtl.config.yaml_lines import ConfigError
from mtl.experiments.settings_record import require_same_settings


def test_the_same_again_is_taken_and_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "new" / "sweep.yaml"
    require_same_settings(file, {"a": {"x": 1, "y": [1, 2]}, "b": None}, "sweep")
    text = file.read_text()
    require_same_settings(file, {"b": None, "a": {"y": [1, 2], "x": 1}}, "sweep")
    assert file.read_text() == text


def test_differences_are_named_by_their_keys(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    require_same_settings(file, {"a": {"x": 1, "y": [1, 2]}, "b": 1}, "sweep")
    with pytest.raises(ConfigError, match=r"holds another sweep; it differs in a\.y, b, c\. Give .*sweep\.yaml if no"):
        require_same_settings(file, {"a": {"x": 1, "y": [2, 1]}, "c": 1}, "sweep")
    with pytest.raises(ConfigError, match="k0, k1, k2, k3 and more"):
        require_same_settings(file, {"a": {"x": 1, "y": [1, 2]}, **{f"k{n}": n for n in range(9)}}, "sweep")
