"""Cosines and magnitude similarity, against values computed by hand."""

import pytest
import torch

from mtl.functional.gradient_similarity import gradient_similarity


def test_similarity_of_two_gradients_by_hand() -> None:
    # gradients (3, 0) and (-1, 1): norms 3 and sqrt(2), inner product -3
    found = gradient_similarity(torch.tensor([[9.0, -3.0], [-3.0, 2.0]], dtype=torch.float64))
    assert found.norms_K.tolist() == pytest.approx([3.0, 2**0.5])
    assert float(found.cosines_KK[0, 1]) == pytest.approx(-1 / 2**0.5)
    assert float(found.magnitudes_KK[0, 1]) == pytest.approx(2 * 3 * 2**0.5 / (9 + 2))
    assert found.cosines_KK.diagonal().tolist() == pytest.approx([1.0, 1.0])


def test_wild_norms_stay_in_range() -> None:
    rows = torch.tensor([[1e-30, 0.0], [1e-30, 1e-30]], dtype=torch.float64) * torch.tensor(
        [[1.0], [1e100]], dtype=torch.float64
    )
    found = gradient_similarity(rows @ rows.T)
    assert float(found.cosines_KK[0, 1]) == pytest.approx(0.5**0.5)
    assert float(found.magnitudes_KK[0, 1]) == pytest.approx(0.0, abs=1e-90)


@pytest.mark.parametrize("value", [0.0, torch.inf])
def test_a_zero_or_endless_gradient_has_no_cosine(value: float) -> None:
    found = gradient_similarity(torch.tensor([[value, 0.0], [0.0, 4.0]]))
    assert found.cosines_KK.isnan().tolist() == [[True, True], [True, False]]
    assert found.magnitudes_KK.isnan().tolist() == [[True, True], [True, False]]
