"""How far a student's answers are from a teacher's, sample by sample, so that N ranks equal one.

Sources: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2 (soft targets, T^2);
Li et al., "Generalized Focal Loss", NeurIPS 2020, eq. 3 (soft heat maps); Zagoruyko, Komodakis, "Paying More Attention
to Attention", ICLR 2017, eq. 2 (attention maps, which need no equal widths).
Shapes: B samples, C classes or channels, H x W cells, T steps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_classes(student: Tensor, teacher: Tensor, temperature: float, dim: int = -1) -> Tensor:
    """T^2 KL(teacher || student) of softened classes, over the classes.

    Args:
        student: logits.
        teacher: logits of the same shape.
        temperature: T, above 0; the larger, the more small logits count.
        dim: where the classes are.
    """
    log_p, log_q = (logits.div(temperature).log_softmax(dim) for logits in (student, teacher))
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(dim)


def soft_labels(student_BC: Tensor, teacher_BC: Tensor, temperature: float) -> Tensor:
    """T^2 KL of each class's softened yes or no, mean over the classes, [B].

    Args:
        student_BC: logits.
        teacher_BC: logits.
        temperature: T, above 0.
    """
    q_BC = (teacher_BC / temperature).sigmoid()
    cross_BC = F.binary_cross_entropy_with_logits(student_BC / temperature, q_BC, reduction="none")
    own_BC = F.binary_cross_entropy(q_BC, q_BC, reduction="none")
    return temperature**2 * (cross_BC - own_BC).mean(1)


def soft_heat(student_BCHW: Tensor, teacher_BCHW: Tensor) -> Tensor:
    """Quality focal loss of a heat map to the teacher's, divided by the teacher's heat in the image, [B].

    Args:
        student_BCHW: logits.
        teacher_BCHW: logits.
    """
    q_BCHW = teacher_BCHW.sigmoid()
    cross_BCHW = F.binary_cross_entropy_with_logits(student_BCHW, q_BCHW, reduction="none")
    loss_BCHW = (student_BCHW.sigmoid() - q_BCHW).square() * cross_BCHW
    return loss_BCHW.sum((1, 2, 3)) / q_BCHW.sum((1, 2, 3)).clamp(min=1)


def attention_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of unit attention maps (mean over channels of squared features), [B].

    Args:
        student: a map [B,C,H,W], of any width.
        teacher: a map [B,C,H,W]; the finer of two sizes is averaged to the other.
    """
    maps = [features.square().mean(1, keepdim=True) for features in (student, teacher)]
    smallest = (min(one.shape[2] for one in maps), min(one.shape[3] for one in maps))
    flat = [F.adaptive_avg_pool2d(one, smallest).flatten(1) for one in maps]
    one_BN, other_BN = (F.normalize(one_BN, dim=1, eps=1e-8) for one_BN in flat)
    gap_B: Tensor = (one_BN - other_BN).square().sum(1)
    return gap_B


def masked_steps(values_BT: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Mean over the real steps of each sample, [B].

    Args:
        values_BT: of each step.
        mask_BT: which steps are real; all where it is None.
    """
    mask_BT = torch.ones_like(values_BT, dtype=torch.bool) if mask_BT is None else mask_BT
    return (values_BT * mask_BT).sum(1) / mask_BT.sum(1).clamp(min=1)
