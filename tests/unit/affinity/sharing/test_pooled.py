"""What probes read of raw inputs and of targets: padding says nothing, and no boxes is an answer."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.affinity.sharing.pooled import raw_inputs
from mtl.affinity.sharing.probes import _target
from mtl.batch import collate
from mtl.inputs.input import input_kind
from mtl.targets.detection import PADDING_LABEL
from mtl.task import InputSpec, Task

SHORT: dict[str, tuple[InputSpec, Any, Any]] = {
    "tokens": (InputSpec("x", "tokens", channels=30), torch.tensor([3, 4, 3]), torch.arange(1, 25)),
    "characters": (InputSpec("x", "characters", channels=30), torch.ones(2, 3).long(), torch.ones(20, 9).long()),
    "audio": (InputSpec("x", "audio", channels=8), torch.randn(2000), torch.randn(9000)),
    "series": (InputSpec("x", "series", channels=2), torch.randn(5, 2), torch.randn(30, 2)),
}


@pytest.mark.parametrize("kind", SHORT)
def test_a_sample_has_the_same_raw_numbers_beside_a_longer_one(kind: str) -> None:
    spec, short, long = SHORT[kind]
    model: Any = SimpleNamespace(inputs={"x": input_kind(spec)(spec).eval()})

    def raw(*values: Tensor) -> Tensor:
        return raw_inputs(model, [collate([{"x": value} for value in values], {}, {"x": spec})])

    alone, beside = raw(short), raw(short, long)
    assert beside.shape[1] == alone.shape[1]
    torch.testing.assert_close(beside[:1], alone)
    assert not torch.equal(beside[0], beside[1])


def test_a_picture_without_boxes_is_probed_as_one_that_has_none() -> None:
    task = Task("boxes", "detection", class_names=("a", "b"))
    batch = {
        "boxes": torch.tensor([[[0.0, 0, 4, 4]], [[0.0, 0, 0, 0]], [[0.0, 0, 2, 2]]]),
        task.labels_field: torch.tensor([[1], [PADDING_LABEL], [0]]),
        task.labelled_field: torch.tensor([True, True, False]),
    }
    target = _target(task, [batch])  # how many there are, and the class of the largest; nothing of the last picture
    assert target[:2].tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]
    assert target[2].isnan().all()
