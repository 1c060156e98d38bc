"""The elastic net of the benchmark of many tasks is scikit-learn's where all tasks share their rows."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import MultiTaskElasticNet

FILE = Path(__file__).resolve().parents[2] / "benchmarks/multi_task_elastic_net.py"


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.1, 0.5), (0.5, 0.9), (0.02, 0.1)])
def test_it_is_that_of_scikit_learn(alpha: float, l1_ratio: float) -> None:
    spec = importlib.util.spec_from_file_location("multi_task_elastic_net", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 8))
    targets = rows[:, :3] @ rng.normal(size=(3, 4)) + 2 + 0.3 * rng.normal(size=(50, 4))
    weights, level = module.multi_task_elastic_net([rows] * 4, list(targets.T), alpha, l1_ratio)
    theirs = MultiTaskElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-10, max_iter=10000).fit(rows, targets)
    np.testing.assert_allclose(weights, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(level, theirs.intercept_, atol=1e-5)
