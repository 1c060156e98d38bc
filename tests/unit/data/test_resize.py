"""Resizing to one size, and the exact mapping back to original pixels."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from mtl.data.resize import FILL, FitMode, boxes_from_original, fit_geometry, fit_image, fit_mask, read_fitted
from mtl.targets.overlay import boxes_to_original


def test_letterbox_keeps_proportions_between_grey_bars() -> None:
    image, to_original = fit_image(torch.full((3, 30, 40), 200, dtype=torch.uint8), (32, 32))
    assert image.shape == (3, 32, 32)
    # 40 x 30 at 0.8 is 32 x 24: four rows of grey above and below
    assert (image[:, :4] == FILL).all()
    assert (image[:, -4:] == FILL).all()
    assert (image[:, 4:-4] == 200).all()
    torch.testing.assert_close(to_original, torch.tensor([1.25, 1.25, 0.0, -5.0]))


def test_stretch_fills_the_canvas() -> None:
    image, to_original = fit_image(torch.full((3, 30, 40), 200, dtype=torch.uint8), (32, 20), "stretch")
    assert (image == 200).all()
    torch.testing.assert_close(to_original, torch.tensor([2.0, 30 / 32, 0.0, 0.0]))


@pytest.mark.parametrize("mode", ["letterbox", "stretch"])
@pytest.mark.parametrize("original", [(30, 40), (481, 333), (7, 1000), (32, 32)])
def test_boxes_come_back_exactly(mode: FitMode, original: tuple[int, int]) -> None:
    to_original = fit_geometry(original, (32, 32), mode)[2]
    boxes = torch.rand(5, 4) * torch.tensor([original[1], original[0]] * 2)
    there = boxes_from_original(boxes, to_original)
    torch.testing.assert_close(boxes_to_original(there[None], to_original[None])[0], boxes, rtol=1e-4, atol=1e-3)


def test_the_corners_of_the_file_are_the_corners_of_the_placed_picture() -> None:
    (height, width), (top, left), to_original = fit_geometry((481, 333), (64, 96), "letterbox")
    corners = boxes_from_original(torch.tensor([[0.0, 0.0, 333.0, 481.0]]), to_original)
    torch.testing.assert_close(corners, torch.tensor([[left, top, left + width, top + height]]).float())


def test_a_mask_gets_no_new_classes() -> None:
    mask = torch.zeros(30, 40, dtype=torch.long)
    mask[:, 20:] = 7
    fitted = fit_mask(mask, (32, 32), fill=-100)
    assert fitted.dtype == torch.long
    assert fitted.unique().tolist() == [-100, 0, 7]
    assert (fitted[4:28, :16] == 0).all()
    assert (fitted[4:28, 16:] == 7).all()


def test_reading_a_file_fits_it_and_says_its_size(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (10, 20, 30)).save(tmp_path / "a.png")
    image, size, to_original = read_fitted(tmp_path / "a.png", (32, 32))
    assert size.tolist() == [30, 40]
    assert image[:, 16, 16].tolist() == [10, 20, 30]
    torch.testing.assert_close(to_original, torch.tensor([1.25, 1.25, 0.0, -5.0]))
