"""Boxes annotated twice, also in pictures with thousands of boxes."""

import tracemalloc

import numpy as np

from mtl.data.folder.duplicates import doubled_boxes


def test_pairs_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (600, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(5, 9, (600, 2))), -1)
    boxes[500], boxes[599], boxes[255] = boxes[20] + 0.1, boxes[300], boxes[256]
    classes = ["a"] * 599 + ["b"]
    assert list(doubled_boxes(boxes, classes)) == [(20, 500), (255, 256)]
    assert list(doubled_boxes(boxes, ["a"] * 600)) == [(20, 500), (255, 256), (300, 599)]
    assert list(doubled_boxes(np.zeros((0, 4)), [])) == []


def test_memory_does_not_grow_with_the_square_of_the_boxes() -> None:
    corners = np.arange(3_000)[:, None] * np.ones(2)
    boxes = np.concatenate((corners, corners + 0.5), -1)
    tracemalloc.start()
    assert not list(doubled_boxes(boxes, ["a"] * 3_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # all pairs at once took 550e6
