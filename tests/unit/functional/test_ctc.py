"""The loss against torch's and by hand, what cannot be aligned, and decoding against all alignments."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from mtl.functional.sequence.ctc import ctc_beams, ctc_greedy, ctc_losses, needed_steps

STEPS, SYMBOLS = 12, 5


def case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, STEPS, SYMBOLS, generator=draw, requires_grad=True)
    mask = torch.arange(STEPS) < torch.tensor([12, 9, 7, 5])[:, None]
    texts = torch.tensor([[1, 2, 2, 4], [3, 3, 3, -1], [1, -100, -100, -100], [-1, -1, -1, -1]])
    return logits, mask, texts


def test_equals_the_loss_of_torch_and_its_gradient() -> None:
    logits, mask, texts = case()
    ours, fits = ctc_losses(logits.log_softmax(-1), mask, texts)
    theirs = F.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), texts.clamp(min=0), mask.sum(1), (texts >= 0).sum(1), reduction="none"
    )
    assert fits.all()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)
    assert not gradients[0][~mask].any()


def test_two_steps_by_hand() -> None:
    # P("a") = P(a a) + P(a -) + P(- a)
    probabilities = torch.tensor([[[0.6, 0.4], [0.3, 0.7]]])
    loss, _ = ctc_losses(probabilities.log(), torch.ones(1, 2, dtype=torch.bool), torch.tensor([[1]]))
    assert loss.exp().reciprocal().item() == pytest.approx(0.4 * 0.7 + 0.4 * 0.3 + 0.6 * 0.7)


def test_what_cannot_be_aligned_is_zero_without_a_gradient() -> None:
    logits = torch.randn(2, 3, SYMBOLS, requires_grad=True)
    texts = torch.tensor([[2, 2], [2, 3]])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    assert needed_steps(texts).tolist() == [3, 2]
    losses, fits = ctc_losses(logits.log_softmax(-1), mask, texts)
    losses.sum().backward()
    assert fits.tolist() == [False, True]
    assert losses[0] == 0
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad.isfinite().all()
    assert logits.grad[1].any()


def test_greedy_joins_repeats_and_drops_blanks_and_padding() -> None:
    path = torch.tensor([[1, 1, 0, 1, 2, 2, 3]])
    log = F.one_hot(path, 4).float().mul(9).log_softmax(-1)
    text, _ = ctc_greedy(log, torch.tensor([[True] * 6 + [False]]))
    assert text.tolist() == [[1, 1, 2, -1, -1, -1, -1]]


@pytest.mark.parametrize("seed", range(3))
def test_many_beams_find_the_likeliest_text_of_all(seed: int) -> None:
    log = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    mask = torch.ones(1, 4, dtype=torch.bool)
    texts = [text for length in range(5) for text in product((1, 2), repeat=length)]
    padded = torch.tensor([[*text, *[-1] * (4 - len(text))] for text in texts])
    losses, fits = ctc_losses(log.expand(len(texts), -1, -1), mask.expand(len(texts), -1), padded)
    best = losses.masked_fill(~fits, torch.inf).argmin()
    found, score = ctc_beams(log, mask, beams=100)
    assert found[0].tolist() == padded[best].tolist()
    assert score.item() == pytest.approx(-losses[best].item(), abs=1e-4)


def test_beams_beat_the_best_alignment_where_many_alignments_agree() -> None:
    # the best alignment is two blanks (0.36); the three of "a" sum to 0.64
    log = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert ctc_greedy(log, mask)[0].tolist() == [[-1, -1]]
    assert ctc_beams(log, mask, beams=4)[0].tolist() == [[1, -1]]
