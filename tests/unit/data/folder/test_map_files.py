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


def save(path: Path, numbers: Any, dtype: Any = np.uint8) -> str:
    Image.fromarray(np.array(numbers, dtype)).save(path)
    return str(path)


def test_depth_of_16_bits_is_in_metres_and_0_is_unknown(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[0, 464], [1723, 65535]], np.uint16)
    spec = MapFiles("depth", kind="depth", scale=0.001, ignore=[0])
    assert spec.task("depth").kind == "depth"
    depth = spec.read(path, (2, 2), "stretch", None)
    assert str(depth.dtype) == "torch.float32"
    assert depth.flatten().tolist() == pytest.approx([np.nan, 0.464, 1.723, 65.535], nan_ok=True)
    # as the picture: in the middle of a letterbox, without values between two pixels
    wide = spec.read(path, (4, 8), "letterbox", None)
    assert wide.shape == (4, 8)
    assert wide[:, :2].isnan().all()
    assert wide[:, 2:6].flatten().tolist() == pytest.approx(
        [value for row in ([np.nan, 0.464], [1.723, 65.535]) for _ in range(2) for value in np.repeat(row, 2)],
        nan_ok=True,
    )


def test_normals_of_8_bits_are_unit_vectors_along_the_axes_of_the_file(tmp_path: Path) -> None:
    # 1 is -1, 128 is 0, 255 is 1; the last pixel is unknown
    path = save(tmp_path / "a.png", [[[255, 128, 128], [128, 38, 52], [0, 0, 0]]])
    spec = MapFiles("normals", kind="normals", scale=2 / 254, offset=-1 - 2 / 254, ignore=[0])
    normals = spec.read(path, (1, 3), "stretch", None)
    assert normals.shape == (3, 1, 3)
    assert normals[:, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert normals[:, 0, 1].tolist() == pytest.approx([0, -0.764, -0.645], abs=1e-2)
    assert normals[:, 0, 1].norm().item() == pytest.approx(1)
    assert normals[:, 0, 2].isnan().all()


def test_edges_are_0_or_1(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[0, 255]])
    assert MapFiles("edges", kind="edges", scale=0.00392157).read(path, (1, 2), "stretch", None).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match=r"a.png': an edge is 0 or 1, not 255"):
        MapFiles("edges", kind="edges").read(path, (1, 2), "stretch", None)


def test_a_file_with_other_channels_than_the_kind_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[0, 1]])
    with pytest.raises(ValueError, match=r"a.png': a target of kind 'normals' has 3 number\(s\).*has 1 channel"):
        MapFiles("normals", kind="normals").read(path, (1, 2), "stretch", None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "depht"}, "kind 'depht' has no value for every pixel.*Did you mean 'depth'"),
        ({"kind": "classification"}, "kind 'classification' has no value for every pixel"),
        ({"kind": "depth", "classes": ["a"]}, "of kind 'depth', which has no classes"),
        ({"kind": "depth", "scale": 0.0}, "scale not 0"),
        ({"kind": "depth", "offset": float("nan")}, "must be finite"),
        ({"classes": ["a"], "scale": 2.0}, "hold classes, which have no `scale`"),
    ],
)
def test_rejects_settings_of_numbers_that_mean_nothing(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapFiles("maps", **settings)
