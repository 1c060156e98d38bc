import pytest
import torch

from mtl.balancing.gradvac import GradVac


def test_cosine_of_two_tasks_is_raised_to_the_usual_one() -> None:
    rows_KP = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    method = GradVac(beta=0.0)
    method.build(2)
    method.usual_NN.fill_(0.3)
    rows = []
    for task in range(2):  # a task whose gradient is tiny adds nothing of its own
        scaled_KP = rows_KP * torch.tensor([[1.0], [1e-9]] if task == 0 else [[1e-9], [1.0]], dtype=torch.float64)
        rows.append(method(scaled_KP @ scaled_KP.T) @ scaled_KP)
    for task, row_P in enumerate(rows):
        other_P = rows_KP[1 - task]
        assert float(row_P @ other_P / (row_P.norm() * other_P.norm())) == pytest.approx(0.3, abs=1e-6)


def test_usual_cosines_follow_the_measured_ones() -> None:
    rows_KP = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    method = GradVac(beta=0.25)
    method(rows_KP @ rows_KP.T)
    method(rows_KP @ rows_KP.T)
    expected = (1 - 0.75**2) * 0.5**0.5
    torch.testing.assert_close(method.usual_NN, torch.tensor([[0, expected], [expected, 0]]).double())


def test_first_step_without_conflict_is_the_sum() -> None:
    rows_KP = torch.rand(4, 6, dtype=torch.float64)
    torch.testing.assert_close(GradVac()(rows_KP @ rows_KP.T), torch.ones(4).double())


def test_rejects_a_beta_above_one() -> None:
    with pytest.raises(ValueError, match="within 0..1"):
        GradVac(beta=2.0)
