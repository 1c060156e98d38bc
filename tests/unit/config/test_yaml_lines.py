from pathlib import Path

import pytest

from mtl.config.yaml_lines import ConfigError, load_yaml, parse_flag_value, shown


def read(tmp_path: Path, text: str):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return load_yaml(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("6.0E+2", 600.0),
        ("-.5", -0.5),
        ("2.", 2.0),
        (".inf", float("inf")),
        ("12", 12),
        ("off", "off"),
        ("no", "no"),
        ("true", True),
        ("2026-01-02", "2026-01-02"),
        ("1.2.3", "1.2.3"),
        ("null", None),
        ("~", None),
    ],
)
def test_plain_values_are_read_as_people_mean_them(tmp_path: Path, text: str, value: object) -> None:
    found = read(tmp_path, f"key: {text}")[0]["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_list_entry_knows_its_line(tmp_path: Path) -> None:
    _, origins = read(tmp_path, "a:\n  b: 1\nc:\n  - x: 2\n  - y\n")
    assert [origins[path].line for path in [("a",), ("a", "b"), ("c", "0", "x"), ("c", "1")]] == [1, 2, 4, 5]
    assert str(origins["a", "b"]).endswith("a.yaml:2: b: 1")


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "# only a comment\n") == ({}, {})


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a:\n  b: 1\n  b: 2\n", "'b' stands here twice, first in line 2", 3),
        ("a:\n\tb: 1\n", "Indent with spaces, not tabs", 2),
        ("name: a: b\n", "text that contains ': ' in quotes", 1),
        ("x: 1\nname: !!python/object/apply:os.system [ls]\n", "tags such as !!int are not read", 2),
    ],
)
def test_broken_yaml_is_refused_with_its_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert caught.value.origin is not None
    assert caught.value.origin.line == line


@pytest.mark.parametrize(("text", "message"), [("- 1\n", "found a list"), ("word\n", "found one value")])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not text"):
        load_yaml(tmp_path / "a.yaml")


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").touch()
    with pytest.raises(ConfigError, match=r"Did you mean 'digits.yaml'\?"):
        load_yaml(tmp_path / "digit.yaml")


def test_flags_leave_words_and_numbers_to_the_parser() -> None:
    assert [parse_flag_value(text) for text in ("5", "true", "a: [", "16-mixed")] == ["5", "true", "a: [", "16-mixed"]
    assert [parse_flag_value(text) for text in ("[1, 2]", "{a: 1e-3}", "null")] == [[1, 2], {"a": 1e-3}, None]


def test_long_lists_of_names_are_cut() -> None:
    assert shown(["a", "b", "c"], most=2) == "a, b and 1 more"
