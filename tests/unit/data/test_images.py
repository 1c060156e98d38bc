"""Reading pictures: modes, orientation, and files that are not pictures."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.images import read_header, read_image, read_indices, turn_boxes
from mtl.data.resize import read_fitted

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
    with pytest.raises(ValueError, match="cannot be decoded.*truncated.*Replace the file, or remove its name"):
        read_image(tmp_path / "a.jpg")


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(ValueError, match="a.jpg' cannot be decoded"):
        read_header(tmp_path / "a.jpg")


EXIF_FIELDS = {6: (0x0112, 3, 1, 6), "resolution": (0x011A, 2, 4, 0x00636261)}  # orientation; a text for a fraction


def with_exif(path: Path, *fields: tuple[int, int, int, int]) -> None:
    """Save the gradient with fields of EXIF as bytes: tag, type, count, value."""
    entries = b"".join(struct.pack("<HHLL", *field) for field in sorted(fields))
    exif = b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(fields)) + entries + struct.pack("<L", 0)
    Image.fromarray(GRADIENT).save(path, exif=exif)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_is_turned_by_its_orientation_whatever_else_its_exif_holds(tmp_path: Path, suffix: str) -> None:
    with_exif(tmp_path / f"a.{suffix}", EXIF_FIELDS[6], EXIF_FIELDS["resolution"])
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (3, 40, 30)
    assert np.abs(image[0].numpy().astype(int) - np.rot90(GRADIENT[..., 0], -1)).mean() < 3


@pytest.mark.parametrize(
    "field",
    [
        (0x0112, 2, 2, ord("6")),  # a text
        (0x0112, 3, 1, 9),
        (0x0112, 3, 1, 0),
        (0x0112, 4, 1, 2**31),
        (0x0112, 9, 1, 2**32 - 6),  # minus 6
        (0x0112, 5, 1, 4000),  # a fraction that lies outside the file
        (0x0112, 7, 400, 6),
    ],
)
def test_header_and_pixels_agree_whatever_the_orientation_is(tmp_path: Path, field: tuple[int, int, int, int]) -> None:
    with_exif(tmp_path / "a.jpg", field)
    header = read_header(tmp_path / "a.jpg")
    assert (header.height, header.width, header.orientation) == (30, 40, 1)
    assert read_image(tmp_path / "a.jpg").shape == (3, 30, 40)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_boxes_turn_with_their_pixels(tmp_path: Path, suffix: str, orientation: int) -> None:
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[3:8, 20:34] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / f"a.{suffix}", exif=exif)
    header, image = read_header(tmp_path / f"a.{suffix}"), read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (3, header.height, header.width)
    rows, columns = np.nonzero(image[0].numpy())
    turned = turn_boxes(np.array([[20.0, 3, 34, 8]]), orientation, 30, 40)
    assert turned.tolist() == [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]


def test_a_picture_over_the_limit_is_refused_with_its_size_and_the_limit(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    for read in (read_header, read_image):
        with pytest.raises(
            ValueError, match="bomb.png' has 20000 x 10000 = 200,000,000 pixels.*limit is 178,956,970.*`max_pixels`"
        ):
            read(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="limit is 1,199"):
        read_fitted(picture(tmp_path / "a.png"), (16, 16), max_pixels=30 * 40 - 1)
    assert read_header(picture(tmp_path / "a.png"), max_pixels=30 * 40).width == 40


def test_a_raised_limit_holds_where_pillow_would_refuse(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    assert read_header(tmp_path / "a.png", max_pixels=200_000_000).width == 20_000
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_large_picture_within_the_limit_is_read_without_a_warning(tmp_path: Path) -> None:
    # Pillow warns from half its limit on, and a warning is an error here
    Image.new("L", (9_500, 9_500)).save(tmp_path / "a.png", compress_level=1)
    assert read_header(tmp_path / "a.png").width == 9_500


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.eps"])
def test_a_format_that_is_not_listed_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "b.eps")
    (tmp_path / "b.eps").rename(tmp_path / name)
    started: list[Any] = []
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *arguments, **_: started.append(arguments))
    for read in (read_header, read_image, read_indices):
        with pytest.raises(ValueError, match="cannot be decoded.*the format is not JPEG, PNG.*PPM"):
            read(tmp_path / name)
    assert not started


def picture(path: Path) -> Path:
    Image.fromarray(GRADIENT).save(path)
    return path
