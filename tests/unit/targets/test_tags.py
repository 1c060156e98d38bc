"""Tags meet the steps of the input that they belong to."""

import pytest
import torch

from mtl.batch import collate
from mtl.task import InputSpec, Task

TASK = Task("slots", "tags", class_names=("O", "B-x", "I-x"))
AUDIO = InputSpec("audio", "audio", channels=4, rate=8000)
WORDS = InputSpec("words", "tokens", channels=9)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("first", [AUDIO, WORDS])
def test_of_several_inputs_the_one_with_as_many_steps(first: InputSpec, labelled: bool) -> None:
    inputs = {spec.name: spec for spec in (first, AUDIO, WORDS)}
    samples = [
        {"audio": torch.randn(700), "words": torch.ones(steps), "slots": torch.ones(steps).long()} for steps in (3, 9)
    ]
    if not labelled:
        samples = [{key: value for key, value in sample.items() if key != "slots"} for sample in samples]
    batch = collate(samples, {"slots": TASK}, inputs)
    assert batch["slots"].shape == batch["words"].shape == (2, 16)
    assert (batch["slots"] >= 0).sum(1).tolist() == ([3, 9] if labelled else [0, 0])


def test_more_tags_than_steps_are_refused() -> None:
    samples = [{"words": torch.ones(3), "slots": torch.ones(5).long()}]
    with pytest.raises(ValueError, match="task 'slots' has 5 tags where its input has 3 steps"):
        collate(samples, {"slots": TASK}, {"words": WORDS})
