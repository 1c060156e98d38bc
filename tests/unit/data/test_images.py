"""Reading pictures: modes, orientation, and files that are no pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtl.data.images import read_header, read_image

GRADIENT = np.stack([np.tile(np.linspace(0, 255, 40), (30, 1))] * 3, -1).astype(np.uint8)


def test_a_picture_comes_as_uint8_rgb_planes(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 30, 40)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), GRADIENT)


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg")])
def test_every_form_of_pixels_is_read_as_the_same_picture(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.fromarray(GRADIENT).convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / f"a.{suffix}")
    assert read_header(tmp_path / f"a.{suffix}").mode == mode
    image = read_image(tmp_path / f"a.{suffix}").permute(1, 2, 0).numpy().astype(int)
    assert np.abs(image - GRADIENT).mean() < 3


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png").permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(image, GRADIENT)


def test_a_sideways_picture_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    Image.fromarray(GRADIENT).save(tmp_path / "a.jpg", exif=exif, quality=95)
    header = read_header(tmp_path / "a.jpg")
    assert (header.height, header.width, header.orientation) == (40, 30, 6)
    image = read_image(tmp_path / "a.jpg")[0].numpy().astype(int)
    assert np.abs(image - np.rot90(GRADIENT[..., 0], -1)).mean() < 3


def test_a_large_jpeg_is_decoded_at_the_size_that_is_needed(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT).resize((640, 480)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", at_least=(240, 320)).shape == (3, 240, 320)
    assert read_image(tmp_path / "a.jpg", at_least=(241, 320)).shape == (3, 480, 640)


def test_a_truncated_picture_is_an_error_with_two_ways_out(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    assert read_header(tmp_path / "a.jpg").height == 64
    with pytest.raises(ValueError, match="cannot be decoded.*truncated.*Replace the file, or take its name out"):
        read_image(tmp_path / "a.jpg")


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="a.jpg' cannot be decoded"):
        read_header(tmp_path / "a.jpg")
