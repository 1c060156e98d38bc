"""Pictures of findings show every number that is near the measure's limits, baselines too."""

from typing import Any

import pytest
from matplotlib.figure import Figure

from mtl.affinity.sharing.findings_files import _lines
from mtl.affinity.sharing.probes import Probes
from mtl.affinity.sharing.sharing_measure import Finding


def limits(*findings: Finding) -> tuple[float, float]:
    panel: Any = Figure().subplots()
    _lines(panel, Probes, findings)
    return panel.get_ylim()


def test_a_baseline_outside_the_limits_is_in_the_picture() -> None:
    low, high = Probes.limits
    found = limits(
        Finding("one", "a", "b", low - 0.1, {"untrained": low - 0.3, "raw input": high + 0.2}),
        Finding("two", "a", "b", float("nan"), {"untrained": low, "raw input": low}),
    )
    assert found == pytest.approx((low - 0.35, high + 0.25))


def test_what_lies_far_out_does_not_press_the_others_flat() -> None:
    low, high = Probes.limits
    assert limits(Finding("one", "a", "b", low - 40, {"untrained": high + 30})) == pytest.approx(
        (low - 0.05, high + 0.05)
    )
