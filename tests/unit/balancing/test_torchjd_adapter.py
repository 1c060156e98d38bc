"""The TorchJD adapter against TorchJD called directly, and its error without TorchJD."""

import importlib.util
import sys

import pytest
import torch

from mtl.balancing.torchjd_adapter import TorchJDAggregator, TorchJDScalarizer, TorchJDWeighting

needs_torchjd = pytest.mark.skipif(
    importlib.util.find_spec("torchjd") is None, reason='torchjd is not installed (pip install "mtl[torchjd]")'
)
ROWS = torch.tensor([[1.0, 2.0, 0.5], [-3.0, 1.0, 4.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
LOSSES = torch.tensor([0.5, 4.0, 1.0], dtype=torch.float64)


@needs_torchjd
def test_a_weighting_of_the_gramian() -> None:
    from torchjd.aggregation import MGDAWeighting

    weights = TorchJDWeighting("torchjd.aggregation.MGDAWeighting", {"epsilon": 1e-9, "max_iters": 1000})(ROWS @ ROWS.T)
    torch.testing.assert_close(weights, MGDAWeighting(1e-9, 1000)(ROWS @ ROWS.T), rtol=0, atol=0)


@needs_torchjd
def test_an_aggregator_with_arguments() -> None:
    # the middle of three values of each coordinate
    update = TorchJDAggregator("TrimmedMean", {"trim_number": 1})(ROWS)
    torch.testing.assert_close(update, ROWS.median(0).values)


@needs_torchjd
def test_a_list_becomes_a_tensor() -> None:
    scalarizer = TorchJDScalarizer("torchjd.scalarization.Constant", {"weights": [1.0, 2.0, 3.0]})
    torch.testing.assert_close(scalarizer.weights(LOSSES), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))


@needs_torchjd
def test_learned_scalarizers_get_the_number_of_tasks_and_expose_their_parameters() -> None:
    scalarizer = TorchJDScalarizer("UW")
    torch.testing.assert_close(scalarizer.weights(LOSSES.float()), torch.full((3,), 0.5))
    (group,) = scalarizer.parameter_groups()
    assert [parameter.shape for parameter in group["params"]] == [torch.Size([3])]


@needs_torchjd
def test_epochs_and_steps_are_passed_on() -> None:
    dwa = TorchJDScalarizer("DWA")
    for losses in (torch.ones(2), torch.tensor([1.0, 0.5])):
        dwa(losses)
        dwa.observe_epoch(losses)
    expected = 2 * torch.softmax(torch.tensor([1.0, 0.5]) / 2, dim=0)
    torch.testing.assert_close(dwa.weights(torch.ones(2)), expected)
    famo = TorchJDScalarizer("FAMO")
    assert famo.losses_after_step
    famo(LOSSES.float())
    famo.observe_step(LOSSES.float() * torch.tensor([0.5, 0.9, 0.9]))
    assert famo.weights(torch.ones(3)).argmin() == 0


@needs_torchjd
def test_what_torchjd_leaves_out_of_its_state_is_saved_too() -> None:
    one, other = TorchJDScalarizer("DWA"), TorchJDScalarizer("DWA")
    for losses in (torch.ones(2), torch.tensor([1.0, 0.5])):
        one(losses)
        one.observe_epoch(losses)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other.weights(torch.ones(2)), one.weights(torch.ones(2)), rtol=0, atol=0)


@needs_torchjd
def test_a_method_with_state_cannot_leave_tasks_out() -> None:
    with pytest.raises(ValueError, match="has labels of 2 of 3 tasks. Use a method of mtl"):
        TorchJDScalarizer("UW")(LOSSES.float(), present=[True, True, False])
    weights = TorchJDWeighting("MeanWeighting")(ROWS @ ROWS.T, present=[True, True, False])
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))


@needs_torchjd
def test_a_typo_is_answered_by_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="has no class 'MGDAWeigting'. Did you mean 'MGDAWeighting'?"):
        TorchJDWeighting("MGDAWeigting")


def test_classes_of_other_packages_are_refused_before_import() -> None:
    for name in ("os.system", "torchjd.aggregation._upgrad.torch", "torchjd.scalarization.UW"):
        with pytest.raises(ValueError, match=f"'{name}' must be the name of a class of torchjd.aggregation"):
            TorchJDWeighting(name)


@needs_torchjd
def test_what_a_module_of_torchjd_merely_imports_is_no_class_of_it() -> None:
    with pytest.raises(ValueError, match="torchjd.aggregation has no class 'warn'"):
        TorchJDAggregator("warn")


def test_without_torchjd_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(ImportError, match=r'pip install "mtl\[torchjd\]"'):
        TorchJDWeighting("MGDAWeighting")
