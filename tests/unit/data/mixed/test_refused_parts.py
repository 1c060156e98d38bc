"""What is wrong in several parts of a mix is told at once, with the name of each part."""

from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder.class_folders import ClassFolders
from mtl.data.mixed.module import MixedData
from mtl.evaluation.data.data_check import check_data


def folders(place: Path, names: tuple[str, ...]) -> dict[str, ClassFolders]:
    parts = {}
    for name in names:
        (place / name).mkdir()
        args: Any = ClassFolders.example_args(place / name)
        parts[name] = ClassFolders(**args)
    return parts


def test_a_damaged_picture_of_each_part_is_a_finding(tmp_path: Path) -> None:
    parts = folders(tmp_path, ("one", "two"))
    for name in parts:
        picture = sorted((tmp_path / name).rglob("*.png"))[0]
        picture.write_bytes(picture.read_bytes()[:60])
    found = check_data(MixedData(parts=parts, batch_size=2))  # type: ignore[arg-type]
    refused = [one for one in found.findings if one.kind == "bad_image"]
    assert [one.level for one in refused] == ["error", "error"]
    for name, one in zip(parts, refused, strict=True):
        assert f"{name}/" in one.text
        assert "fit refuses it" in one.text


def test_parts_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    parts = folders(tmp_path, ("one", "two", "three"))
    for name in ("one", "three"):
        (tmp_path / name).rename(tmp_path / f"gone_{name}")
    data = MixedData(parts=parts, batch_size=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"(?s)part 'one': data folder .* does not exist.*\npart 'three': data folder"):
        data.setup("fit")
