"""Spans of tags, in every scheme of marks."""

import numpy as np
import pytest

from mtl.metrics.spans import spans

SCHEMES = {"IOB": ("B", "I", "I", "B"), "BIOES": ("B", "I", "E", "S"), "BILOU": ("B", "I", "L", "U")}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_are_found_again_in_every_scheme(scheme: str) -> None:
    begin, inside, end, alone = SCHEMES[scheme]
    rng = np.random.default_rng(0)
    for _ in range(200):
        tags: list[str] = []
        wanted = set()
        while len(tags) < 12:
            length, name = int(rng.integers(1, 4)), "ab"[rng.integers(2)]
            if rng.random() < 0.3:
                tags.append("O")
                continue
            wanted.add((len(tags), len(tags) + length - 1, name))
            marks = [alone] if length == 1 else [begin, *[inside] * (length - 2), end]
            tags += [f"{mark}-{name}" for mark in marks]
        assert spans(tags) == wanted


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("I-a I-a O I-b", {(0, 1, "a"), (3, 3, "b")}),  # what continues nothing begins
        ("B-a I-b", {(0, 0, "a"), (1, 1, "b")}),
        ("S-a I-a", {(0, 0, "a"), (1, 1, "a")}),  # what has ended is not continued
        ("B-a E-a E-a", {(0, 1, "a"), (2, 2, "a")}),
        ("B-a-b I-a-b", {(0, 1, "a-b")}),
        ("O O", set()),
    ],
)
def test_tags_that_fit_badly_are_read_as_the_conll_evaluation_does(tags: str, wanted: set[object]) -> None:
    assert spans(tags.split()) == wanted
