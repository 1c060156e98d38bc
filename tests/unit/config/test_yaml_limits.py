import pytest
import yaml

from mtl.config import yaml_limits


@pytest.mark.parametrize("word", [".", "-.", "..", "./data", "1.2.3"])
def test_dots_without_digits_are_text(word: str) -> None:
    assert yaml.load(f"root: {word}\n", yaml_limits.Loader) == {"root": word}


@pytest.mark.parametrize(("word", "number"), [("1.", 1.0), (".5", 0.5), ("-2.5", -2.5), ("1e-3", 1e-3)])
def test_numbers_are_numbers(word: str, number: float) -> None:
    assert yaml.load(f"lr: {word}\n", yaml_limits.Loader) == {"lr": number}
