"""The definitions against published rows of NYUv2, and ranks by hand."""

import pytest

from mtl.evaluation.tables.delta_m import Metric, delta_m, delta_m_flat, delta_m_per_task, mean_rank

# MTAN-SegNet on NYUv2 as in the papers of the nash-mtl family; the last two columns are the published flat figure
# (lower is better) and LibMTL's definition computed apart
METRICS = [
    *(Metric("segmentation", name, monitored=name == "miou") for name in ("miou", "pixacc")),
    *(Metric("depth", name, higher_is_better=False, monitored=name == "abserr") for name in ("abserr", "relerr")),
    *(Metric("normals", name, higher_is_better=False, monitored=name == "mean") for name in ("mean", "median")),
    *(Metric("normals", name) for name in ("within11", "within22", "within30")),
]
SINGLE = (38.30, 63.76, 0.6754, 0.2780, 25.01, 19.21, 30.14, 57.20, 69.15)
PUBLISHED = {
    "sum": ((39.29, 65.33, 0.5493, 0.2263, 28.15, 23.96, 22.09, 47.50, 61.08), 5.59, 0.88),
    "SI": ((38.45, 64.27, 0.5354, 0.2201, 27.60, 23.37, 22.53, 48.57, 62.32), 4.39, 1.64),
    "RLW": ((37.17, 63.77, 0.5759, 0.2410, 28.27, 24.18, 22.26, 47.05, 60.62), 7.78, -2.16),
    "CAGrad": ((39.79, 65.49, 0.5486, 0.2250, 26.31, 21.58, 25.61, 52.36, 65.58), 0.20, 4.33),
    "Nash-MTL": ((40.13, 65.93, 0.5261, 0.2171, 25.26, 20.08, 28.40, 55.47, 68.15), -4.04, 7.65),
    "FairGrad": ((39.74, 66.01, 0.5377, 0.2236, 24.84, 19.60, 29.26, 56.58, 69.16), -4.66, 7.52),
}


def values(numbers: tuple[float, ...]) -> dict[str, float]:
    return {metric.key: number for metric, number in zip(METRICS, numbers, strict=True)}


@pytest.mark.parametrize("method", PUBLISHED)
def test_published_figures_are_reached(method: str) -> None:
    numbers, flat, per_task = PUBLISHED[method]
    assert delta_m_flat(values(numbers), values(SINGLE), METRICS) == pytest.approx(flat, abs=0.011)
    assert delta_m_per_task(values(numbers), values(SINGLE), METRICS) == pytest.approx(per_task, abs=0.011)


def test_one_metric_for_each_task_by_hand() -> None:
    numbers = values(PUBLISHED["sum"][0])
    gains = [100 * (39.29 / 38.30 - 1), -100 * (0.5493 / 0.6754 - 1), -100 * (28.15 / 25.01 - 1)]
    assert delta_m(numbers, values(SINGLE), METRICS) == pytest.approx(sum(gains) / 3)


@pytest.mark.parametrize("definition", [delta_m, delta_m_per_task, delta_m_flat])
def test_the_single_tasks_themselves_gain_nothing(definition: object) -> None:
    assert definition(values(SINGLE), values(SINGLE), METRICS) == 0  # type: ignore[operator]


def test_a_baseline_of_zero_has_no_relative_gain() -> None:
    metric = Metric("boxes", "map", monitored=True)
    with pytest.raises(ValueError, match="boxes/map = 0.*train it longer"):
        delta_m({"boxes/map": 0.5}, {"boxes/map": 0.0}, [metric])


def test_mean_ranks_by_hand_with_a_tie() -> None:
    metrics = [Metric("a", "accuracy"), Metric("b", "mae", higher_is_better=False)]
    rows = [{"a/accuracy": 0.9, "b/mae": 2.0}, {"a/accuracy": 0.8, "b/mae": 1.0}, {"a/accuracy": 0.8, "b/mae": 3.0}]
    assert mean_rank(rows, metrics) == [1.5, 1.75, 2.75]
