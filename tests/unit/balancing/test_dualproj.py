import torch

from mtl.balancing.dualproj import DualProj


def test_without_conflict_it_is_the_mean() -> None:
    rows_KP = torch.rand(3, 5, dtype=torch.float64)
    torch.testing.assert_close(DualProj()(rows_KP @ rows_KP.T), torch.full((3,), 1 / 3).double())


def test_the_mean_is_projected_by_hand() -> None:
    # the mean (-1, 1/2) conflicts with (1, 0): its nearest point without conflict is (0, 1/2)
    rows_KP = torch.tensor([[1.0, 0.0], [-3.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(DualProj()(rows_KP @ rows_KP.T) @ rows_KP, torch.tensor([0.0, 0.5]).double())


def test_preferences_replace_the_mean() -> None:
    rows_KP = torch.rand(2, 5, dtype=torch.float64)
    method = DualProj(preferences=[2.0, 3.0])
    torch.testing.assert_close(method(rows_KP @ rows_KP.T), torch.tensor([2.0, 3.0]).double())
