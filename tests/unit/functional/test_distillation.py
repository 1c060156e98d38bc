import pytest
import torch
import torch.nn.functional as F

from mtl.functional.distillation import attention_gap, masked_steps, soft_classes, soft_heat, soft_labels


def test_soft_classes_are_the_kl_divergence_times_the_squared_temperature() -> None:
    student, teacher = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[0.0, 3.0, 1.0]])
    expected = 4 * F.kl_div(
        (student / 2).log_softmax(-1), (teacher / 2).log_softmax(-1), log_target=True, reduction="sum"
    )
    torch.testing.assert_close(soft_classes(student, teacher, 2.0), expected[None])
    torch.testing.assert_close(soft_classes(teacher, teacher, 3.0), torch.zeros(1))
    pixels = soft_classes(
        student[:, :, None, None].expand(1, 3, 2, 2), teacher[:, :, None, None].expand(1, 3, 2, 2), 2.0, 1
    )
    torch.testing.assert_close(pixels, expected.expand(1, 2, 2))


def test_the_gradient_of_soft_classes_keeps_its_size_at_high_temperature() -> None:
    # Hinton et al., eq. 4: for large T the gradient is (z - v) / N with centred logits, whatever T is
    student = torch.tensor([[0.3, -0.1, -0.2]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[-0.2, 0.4, -0.2]], dtype=torch.float64)
    (grad,) = torch.autograd.grad(soft_classes(student, teacher, 1000.0).sum(), student)
    torch.testing.assert_close(grad, (student.detach() - teacher) / 3, rtol=1e-3, atol=1e-5)


def test_soft_labels_are_zero_for_the_teacher_and_the_binary_kl_otherwise() -> None:
    teacher = torch.tensor([[0.0, 2.0]])
    torch.testing.assert_close(soft_labels(teacher, teacher, 1.0), torch.zeros(1), atol=1e-6, rtol=0)
    # from p = 0.5 to q = 0.5 nothing, to q = sigmoid(2) = 0.8808 from p = 0.5: q ln 2q + (1-q) ln 2(1-q) = 0.3278
    torch.testing.assert_close(
        soft_labels(torch.zeros(1, 2), teacher, 1.0), torch.tensor([0.3278 / 2]), atol=1e-4, rtol=0
    )


def test_soft_heat_falls_towards_the_teacher() -> None:
    teacher = torch.full((2, 1, 3, 3), -4.0)
    teacher[:, :, 1, 1] = 3.0
    far, near = torch.zeros_like(teacher), 0.9 * teacher
    assert (soft_heat(far, teacher) > 10 * soft_heat(near, teacher)).all()
    torch.testing.assert_close(soft_heat(teacher, teacher), torch.zeros(2))


def test_attention_maps_compare_networks_of_other_width_and_size() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 4, 6, 6, generator=generator)
    wide = torch.cat((features, features), 1) * 5
    torch.testing.assert_close(attention_gap(features, wide), torch.zeros(3), atol=1e-6, rtol=0)
    other = torch.randn(3, 8, 12, 12, generator=generator)
    assert (attention_gap(features, other) > 0.1).all()
    finer = features.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(attention_gap(features, finer), torch.zeros(3), atol=1e-6, rtol=0)
    assert attention_gap(torch.zeros(1, 2, 2, 2), features[:1]).isfinite().all()


@pytest.mark.parametrize(("mask", "mean"), [(None, 2.0), ([[True, False, True]], 2.5), ([[False] * 3], 0.0)])
def test_padding_is_no_step(mask: list[list[bool]] | None, mean: float) -> None:
    values = torch.tensor([[1.0, 1.0, 4.0]])
    assert float(masked_steps(values, None if mask is None else torch.tensor(mask))) == mean
