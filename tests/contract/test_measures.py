"""What every affinity measure must do. A new file in `mtl/affinity/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

import pickle

import pytest
import torch

from mtl.affinity.measure import AffinityMeasure, Evidence
from tests.contract.kit.found import found
from tests.contract.kit.planted import TASKS, planted_evidence

MEASURES = found(AffinityMeasure)  # type: ignore[type-abstract]
every_measure = pytest.mark.parametrize("cls", MEASURES, ids=lambda cls: cls.__name__)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return planted_evidence()


@every_measure
def test_planted_pairs_are_told_from_the_others(cls: type[AffinityMeasure], evidence: Evidence) -> None:
    found_NKK = cls.example().measure(evidence)
    assert found_NKK.shape[1:] == (4, 4)
    mean_KK = found_NKK.double().nanmean(0)
    pairs = [mean_KK[0, 2], mean_KK[2, 0], mean_KK[1, 3], mean_KK[3, 1]]
    others = [mean_KK[i, j] for i, j in ((0, 1), (1, 0), (0, 3), (3, 0), (2, 1), (1, 2), (2, 3), (3, 2))]
    if cls.__name__ != "GradientMagnitude":  # lengths say nothing of direction
        assert min(pairs) > max(others)
    assert min(pairs) > 0
    if cls.symmetric:
        torch.testing.assert_close(mean_KK, mean_KK.T, atol=1e-6, rtol=1e-6)
    assert cls.paper
    assert cls.needs in ("labels", "model", "singles")


@every_measure
def test_the_model_is_left_as_it_was(cls: type[AffinityMeasure], evidence: Evidence) -> None:
    assert evidence.model is not None
    before = {name: value.clone() for name, value in evidence.model.state_dict().items()}
    cls.example().measure(evidence)
    for name, value in evidence.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert evidence.model.training


@every_measure
def test_a_measure_repeats_itself_and_follows_the_order_of_the_tasks(
    cls: type[AffinityMeasure], evidence: Evidence
) -> None:
    first = cls.example().measure(evidence)
    again = pickle.loads(pickle.dumps(cls.example())).measure(evidence)
    torch.testing.assert_close(again, first, rtol=0, atol=0, equal_nan=True)
    order = [2, 0, 3, 1]
    names = [list(TASKS)[index] for index in order]
    turned = Evidence({name: TASKS[name] for name in names}, evidence.batches, evidence.model, evidence.singles)
    found_NKK = cls.example().measure(turned)
    torch.testing.assert_close(found_NKK, first[:, order][:, :, order], rtol=1e-4, atol=1e-5, equal_nan=True)


@every_measure
def test_what_is_missing_is_named(cls: type[AffinityMeasure], evidence: Evidence) -> None:
    alone = Evidence(TASKS, evidence.batches)
    if cls.needs == "labels":
        assert cls.example().measure(alone).shape[1:] == (4, 4)
        return
    with pytest.raises(ValueError, match="--run" if cls.needs == "model" else "--single "):
        cls.example().measure(alone)
    if cls.needs == "singles":
        assert evidence.singles is not None
        (first, model), *_ = evidence.singles.items()
        others = Evidence(TASKS, evidence.batches, None, {first: model, "another": model})
        with pytest.raises(ValueError, match=f"--single lacks {', '.join(name for name in TASKS if name != first)}"):
            cls.example().measure(others)
