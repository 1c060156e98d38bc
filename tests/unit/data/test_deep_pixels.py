"""Pictures of more than 8 bits: scaled by one range, refused where the default makes them black."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.deep_pixels import fits_default_range, likely_range
from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.images import read_image
from mtl.data.resize import read_fitted

RAMP = np.arange(30 * 40).reshape(30, 40) / (30 * 40 - 1)  # 0 to 1


def save(path: Path, white: float, kind: str) -> None:
    Image.fromarray((RAMP * white).astype(kind)).save(path)


@pytest.mark.parametrize(
    ("white", "kind"), [(4095, "uint16"), (255, "uint16"), (1023, "int32"), (10**8, "int32"), (1.0, "f4"), (9e3, "f4")]
)
def test_the_range_makes_black_and_white(tmp_path: Path, white: float, kind: str) -> None:
    save(tmp_path / "a.tif", white, kind)
    image = read_image(tmp_path / "a.tif", pixel_range=(0, white))
    assert (image[0] == image[2]).all()
    assert np.abs(image[0].numpy() - 255 * RAMP).max() <= 255 / min(white, 255) + 0.51 if kind != "f4" else True
    assert (image.min(), image.max()) == (0, 255)
    assert (read_fitted(tmp_path / "a.tif", (30, 40), pixel_range=(0, white))[0] == image).all()


def test_values_outside_of_the_range_and_no_numbers_are_black_or_white(tmp_path: Path) -> None:
    values = np.array([[-5, 0, 50, 100, 101, np.inf, -np.inf, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif", pixel_range=(0, 100))[0, 0].tolist()
    assert read == [0, 0, 127, 255, 255, 255, 0, 0]


@pytest.mark.parametrize(
    ("most", "mode", "fits", "likely"),
    [
        (65535, "I;16", True, [0, 65535]), (40000, "I;16", True, [0, 65535]), (4095, "I;16", False, [0, 4095]),
        (3000, "I;16", False, [0, 4095]), (255, "I", False, [0, 255]), (10**6, "I", False, [0, 2**20 - 1]),
        (1.0, "F", False, [0, 1]), (0.3, "F", False, [0, 1]), (255.0, "F", True, [0, 255]),
        (4000.0, "F", False, [0, 4095]),
    ],
)  # fmt: skip
def test_what_the_default_makes_black_is_known(most: float, mode: str, fits: bool, likely: list[float]) -> None:
    values = np.array([0.0, most, np.nan])
    assert fits_default_range(values, mode) == fits
    assert likely_range(values, mode) == likely


def folder(root: Path, **options: Any) -> VOCFolder:
    data = VOCFolder(str(root), ["cat", "dog"], image_size=(30, 40), **options)
    data.setup("fit")
    return data


def test_a_set_that_would_be_black_is_refused_with_its_range(voc_root: Path) -> None:
    for index in range(6):
        (voc_root / f"images/p{index}.png").unlink()
        save(voc_root / f"images/p{index}.png", 4095, "uint16")
    with pytest.raises(ValueError, match=r"4 pictures of split 'train'.*0 to 4095.*p0\.png.*pixel_range.*\[0, 4095\]"):
        folder(voc_root)
    sample = folder(voc_root, pixel_range=(0, 4095)).train_set[0]
    assert sample["image"].max() == 255
    assert sample["image"].float().mean() == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize("pixel_range", [(5, 5), (9, 1), (0, float("nan")), (0, float("inf"))])
def test_rejects_a_range_that_is_none(tmp_path: Path, pixel_range: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be two numbers, the black and the white value"):
        VOCFolder(str(tmp_path), ["cat"], pixel_range=pixel_range)


def test_a_picture_without_any_number_is_named(voc_root: Path) -> None:
    (voc_root / "images/p1.png").unlink()
    Image.fromarray(np.full((30, 40), np.nan, np.float32)).save(voc_root / "images/p1.tif")
    with pytest.raises(ValueError, match=r"p1\.tif' holds no number"):
        folder(voc_root)
