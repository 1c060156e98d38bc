"""The device of a command line is one that is there, or is refused with what is there."""

import pytest
import torch

from mtl.config.yaml_lines import ConfigError
from mtl.evaluation.device import chosen_device


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_taken_where_there_is_one() -> None:
    assert chosen_device(None) == torch.device("cuda")
    assert chosen_device("cuda:1") == torch.device("cuda", 1)
    assert chosen_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cuda:2: there are 2 GPUs, from cuda:0 to cuda:1."):
        chosen_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_here_is_told_with_those_that_are(name: str) -> None:
    assert chosen_device(None) == torch.device("cpu")
    with pytest.raises(ConfigError, match=f"--device {name}: torch finds no such device here. It finds cpu; take one"):
        chosen_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cpu:3", "meta", "xpu", "cuda:", "cuda:-1", "CPU", "cuda\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no device..*There are cpu, cuda, cuda:NUMBER and mps."):
        chosen_device(name)
