"""Maps of pixels: numbers of the file become class indices, one by one or in groups."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.map_files import MapFiles


def read(folder: Path, numbers: list[list[int]], **settings: Any) -> Any:
    Image.fromarray(np.array(numbers, np.uint8)).save(folder / "a.png")
    spec = MapFiles("maps", **settings)
    return spec.read(str(folder / "a.png"), (len(numbers), len(numbers[0])), "stretch", None).tolist()


def test_numbers_count_from_the_first_and_ignored_ones_are_not_annotated(tmp_path: Path) -> None:
    assert read(tmp_path, [[1, 2], [255, 1]], classes=["a", "b"], first=1, ignore=[255]) == [[0, 1], [-100, 0]]
    for number in (0, 3):
        with pytest.raises(ValueError, match=f"has numbers {number}; its classes are 1 to 2"):
            read(tmp_path, [[1, number]], classes=["a", "b"], first=1)


def test_groups_merge_numbers_into_classes(tmp_path: Path) -> None:
    groups = {"other": [0, 7], "road": [3]}
    assert MapFiles("maps", groups=groups).task("drivable").class_names == ("other", "road")
    assert read(tmp_path, [[3, 0, 7, 11]], groups=groups, ignore=[11]) == [[1, 0, 0, -100]]
    with pytest.raises(ValueError, match="has numbers 5; its classes are 0, 7, 3"):
        read(tmp_path, [[3, 5]], groups=groups)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give `classes`"),
        ({"classes": ["a"], "groups": {"a": [1]}}, "give `classes`"),
        ({"groups": {"a": [1]}, "first": 1}, "give `classes`"),
        ({"groups": {"a": [1, 2], "b": [2]}}, "number 2 stands in two"),
        ({"groups": {"a": [1]}, "ignore": [1]}, "number 1 stands in two"),
    ],
)
def test_rejects_maps_that_mean_nothing(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapFiles("maps", **settings)
