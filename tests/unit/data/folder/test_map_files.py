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


def pixels(path: Path, values: Any, mode: str | None = None, **save: Any) -> str:
    image = Image.fromarray(np.array(values, np.uint8))
    (image.convert(mode) if mode else image).save(path, **save)
    return str(path)


def test_colours_are_classes_and_other_colours_are_named(tmp_path: Path) -> None:
    road, sky, void = [128, 64, 9], [1, 2, 200], [0, 0, 0]
    spec = MapFiles("maps", groups={"road": [road, [5, 5, 6]], "sky": [sky]}, ignore=[void])
    path = pixels(tmp_path / "a.png", [[road, sky], [void, [5, 5, 6]]])
    assert spec.read(path, (2, 2), "stretch", None).tolist() == [[0, 1], [-100, 0]]
    with pytest.raises(ValueError, match=r"has colours \[7, 8, 9\]; its classes are \[128, 64, 9\]"):
        spec.read(pixels(tmp_path / "b.png", [[road, [7, 8, 9]]]), (1, 2), "stretch", None)
    with pytest.raises(ValueError, match="is a picture of colours"):
        MapFiles("maps", classes=["a", "b"]).read(path, (2, 2), "stretch", None)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L"])
def test_numbers_in_all_channels_are_numbers(mode: str, tmp_path: Path) -> None:
    path = pixels(tmp_path / "a.png", [[0, 1, 2], [2, 1, 0]], mode)
    read_again = MapFiles("maps", classes=["a", "b", "c"]).read(path, (2, 3), "stretch", None)
    assert read_again.tolist() == [[0, 1, 2], [2, 1, 0]]


def test_maps_of_one_bit_and_of_large_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bit.png")
    bits = MapFiles("maps", classes=["a", "b"]).read(str(tmp_path / "bit.png"), (1, 2), "stretch", None)
    assert bits.tolist() == [[1, 0]]
    path = save(tmp_path / "a.tif", [[2_000_000_000, 3], [70_000, 3]], np.int32)
    spec = MapFiles("maps", groups={"a": [3], "b": [2_000_000_000]}, ignore=[70_000])
    assert spec.read(path, (2, 2), "stretch", None).tolist() == [[1, 0], [-100, 0]]
    with pytest.raises(ValueError, match="fractions or numbers below 0"):
        spec.read(save(tmp_path / "b.tif", [[0.5]], np.float32), (1, 1), "stretch", None)


def test_a_map_is_turned_upright_as_its_picture_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = pixels(tmp_path / "a.png", [[0, 1, 2]], exif=exif)
    assert MapFiles("maps", classes=["a", "b", "c"]).read(path, (3, 1), "stretch", None).tolist() == [[0], [1], [2]]


def test_names_of_maps_follow_from_their_pictures() -> None:
    spec = MapFiles("gt", classes=["a"], replace={"^train/": "trainannot/", r"_img$": r"_gt"}, suffix="_ids.png")
    assert spec.file(Path("root"), "train/train_1_img") == Path("root/gt/trainannot/train_1_gt_ids.png")
    with pytest.raises(ValueError, match="not a regular expression"):
        MapFiles("gt", classes=["a"], replace={"(": "x"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": {"a": [[0, 0, 256]]}}, r"\[0, 0, 256\] is not one"),
        ({"groups": {"a": [[0, 0]]}}, r"\[0, 0\] is not one"),
        ({"groups": {"a": [[0, 0, 1]], "b": [2]}}, "colours and single numbers"),
        ({"groups": {"a": [[0, 0, 1]], "b": [[0, 0, 1]]}}, r"colour \[0, 0, 1\] stands in two"),
    ],
)
def test_rejects_colours_that_are_none(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapFiles("maps", **settings)
