import os
import re
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from mtl.cli.trainer.loader_errors import loader_error


class Bad(Dataset[int]):
    """Fails in the loader's process."""

    def __init__(self, die: bool) -> None:
        self.die = die

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if self.die:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("picture 'a.png' is cut off;\nmend it")


def failure(die: bool) -> Exception:
    with pytest.raises((ValueError, RuntimeError)) as caught:
        list(DataLoader(Bad(die), num_workers=1))
    return caught.value


def test_an_error_in_a_worker_is_told_as_if_it_were_raised_here() -> None:
    error = failure(die=False)
    assert "Traceback" in str(error)
    assert loader_error(str(error)) == "picture 'a.png' is cut off;\nmend it"


def test_a_killed_worker_is_told_with_what_to_do() -> None:
    error = failure(die=True)
    told = str(loader_error(str(error)))
    assert re.match(r"a process of the data loader (was killed \(Killed\)|ended unexpectedly); most often memory", told)


def test_other_errors_are_left_alone() -> None:
    assert loader_error("something else") is None
