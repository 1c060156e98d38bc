"""Hypervolume: how much of the space below a reference point a set of losses dominates; larger is better.

Source: Zitzler, Thiele, "Multiobjective Optimization Using Evolutionary Algorithms", PPSN V, 1998; computed by slicing
objectives, While, Hingston, Barone, Huband, IEEE Trans. Evol. Comput. 10(1), 2006.
Shapes: N points, K objectives.
"""

from collections.abc import Sequence

Point = tuple[float, ...]


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Volume between the points and the reference, exactly; every objective is to be small.

    Args:
        points: [N,K]; a point that is not below the reference in every objective adds nothing.
        reference: [K], such as the losses of a constant prediction.

    Raises:
        ValueError: if a point has another number of objectives.
    """
    if wrong := [point for point in points if len(point) != len(reference)]:
        raise ValueError(f"point {list(wrong[0])} has {len(wrong[0])} objectives, the reference {len(reference)}.")
    below = [tuple(p) for p in points if all(x < r for x, r in zip(p, reference, strict=True))]
    return _slices(non_dominated(below), tuple(reference))


def non_dominated(points: Sequence[Sequence[float]]) -> list[Point]:
    """The points that no other point beats, in order and each once; every objective is to be small.

    Args:
        points: [N,K].
    """
    distinct = sorted({tuple(point) for point in points})
    return [p for p in distinct if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in distinct)]


def _slices(front: Sequence[Point], reference: Point) -> float:
    if not front:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in front)
    total, ordered = 0.0, sorted(front)
    ends = [*(point[0] for point in ordered[1:]), reference[0]]
    for number, (point, end) in enumerate(zip(ordered, ends, strict=True), 1):
        # between this point and the next along the first objective, the points so far dominate
        if end > point[0]:
            slab = non_dominated([other[1:] for other in ordered[:number]])
            total += (end - point[0]) * _slices(slab, reference[1:])
    return total
