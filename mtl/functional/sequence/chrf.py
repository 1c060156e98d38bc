"""chrF: how well a text agrees with a reference in its letters and their neighbours, 0 to 1 over a whole corpus.

Source: Popovic, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015, with beta = 2, and as sacrebleu
(Post, WMT 2018) counts: without blanks, n-grams summed over the corpus, precision and recall averaged over the orders
that both sides have; an order that a reference is too short for does not count in its text. The score of torchmetrics
differs: it leaves out a reference that shares no letter with its text, which makes empty predictions free.
Shapes: N orders.
"""

from collections import Counter

import torch
from torch import Tensor

ORDERS = 6
_BETA_SQUARED = 4.0


def chrf_counts(ours: str, theirs: str) -> Tensor:
    """N-grams of one text, of its reference, and those that both have, float64 [N,3].

    Args:
        ours: the text.
        theirs: its reference.
    """
    ours, theirs = ("".join(text.split()) for text in (ours, theirs))
    rows = []
    for order in range(1, ORDERS + 1):
        mine, other = (
            Counter(text[start : start + order] for start in range(len(text) - order + 1)) for text in (ours, theirs)
        )
        rows.append([mine.total() if other else 0, other.total(), (mine & other).total()])
    return torch.tensor(rows, dtype=torch.float64)


def chrf(counts_N3: Tensor) -> Tensor:
    """The score of a corpus, 0 to 1; 0 where no order has n-grams on both sides.

    Args:
        counts_N3: what `chrf_counts` gives, summed over the texts.
    """
    used_N3 = counts_N3[(counts_N3[:, :2] > 0).all(1)]
    if not used_N3[:, 2].sum():
        return counts_N3.new_zeros(())
    precision, recall = ((used_N3[:, 2] / used_N3[:, side]).mean() for side in (0, 1))
    return (1 + _BETA_SQUARED) * precision * recall / (_BETA_SQUARED * precision + recall)
