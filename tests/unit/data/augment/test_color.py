"""Colour augmentation of a batch: identity, range, and one draw per sample."""

import colorsys

import pytest
import torch

from mtl.data.augment.color import apply_color, color_matrix

BATCH = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25


def test_neutral_factors_change_nothing() -> None:
    matrix = color_matrix(1, 1, 1, 0).expand(2, 3, 4)
    torch.testing.assert_close(apply_color(BATCH, matrix), BATCH)


def test_bytes_become_shares_of_full_brightness() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    changed = apply_color(image, color_matrix(1, 1, 1, 0)[None])
    torch.testing.assert_close(changed.flatten(), torch.tensor([0.0, 0.2, 1.0]))


def test_brightness_multiplies_and_contrast_spreads_about_middle_grey() -> None:
    matrices = torch.stack([color_matrix(1.1, 1, 1, 0), color_matrix(1, 0.5, 1, 0)])
    changed = apply_color(BATCH, matrices)
    torch.testing.assert_close(changed[0], BATCH[0] * 1.1)
    torch.testing.assert_close(changed[1], 0.5 + 0.5 * (BATCH[1] - 0.5))


def test_no_saturation_is_grey_of_the_same_luma() -> None:
    changed = apply_color(BATCH, color_matrix(1, 1, 0, 0).expand(2, 3, 4))
    luma = (BATCH * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    for channel in range(3):
        torch.testing.assert_close(changed[:, channel], luma)


def test_hue_turns_the_colour_circle() -> None:
    # a third of a turn: red becomes green or blue in hue, within what YIQ and HSV differ by
    color = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1)
    turned = apply_color(color, color_matrix(1, 1, 1, 1 / 3)[None]).flatten().tolist()
    hue = colorsys.rgb_to_hsv(*turned)[0]
    assert min(abs(hue - 1 / 3), abs(hue - 2 / 3)) < 0.1
    back = apply_color(torch.tensor(turned).view(1, 3, 1, 1), color_matrix(1, 1, 1, -1 / 3)[None])
    torch.testing.assert_close(back, color)


def test_results_stay_within_range() -> None:
    changed = apply_color(BATCH, color_matrix(3, 2, 1, 0).expand(2, 3, 4))
    assert changed.min() == pytest.approx(0, abs=0.2)
    assert changed.max() == 1
