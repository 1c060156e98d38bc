"""Labels that a run disagrees with: planted ones are found, right ones are left alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.cli.main import main
from mtl.data.module import JointDataModule
from mtl.evaluation.data.suspects import doubted, suspects
from mtl.task import Task

TASKS = {"boxes": Task("boxes", "detection", class_names=("a", "b")), "scene": Task("scene", "classification", 2)}
BOX = [10.0, 10.0, 20.0, 20.0]


class Given(JointDataModule):
    """Samples as they are given."""

    from_config = False

    def __init__(self, samples: list[dict[str, Any]]) -> None:
        super().__init__(TASKS)
        self.train_set: Any = samples

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return TASKS


def sample(box: list[float] | None = BOX, label: int = 0, scene: int | None = 0) -> dict[str, Any]:
    boxes = torch.tensor([] if box is None else [box]).reshape(-1, 4)
    labels = torch.full((len(boxes),), label)
    found = {"image": torch.zeros(3, 32, 32, dtype=torch.uint8), "boxes": boxes, TASKS["boxes"].labels_field: labels}
    return found if scene is None else {**found, "scene": torch.tensor(scene)}


class Model:
    """Says of every sample the same: a box of class a, and scene 0 with this probability."""

    def __init__(self, probability: list[float], score: float = 0.9) -> None:
        self.probability, self.score, self.done = probability, score, 0

    def eval(self) -> None:
        pass

    def predict(self, batch: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        number = len(batch["image"])
        first = torch.tensor(self.probability[self.done : self.done + number])
        self.done += number
        boxes = torch.tensor(BOX).expand(number, 1, 4)
        scores, labels = torch.full((number, 1), self.score), torch.zeros(number, 1, dtype=torch.long)
        return {
            "boxes": {"boxes": boxes, "scores": scores, "labels": labels},
            "scene": {"probabilities": torch.stack((first, 1 - first), -1), "labels": (first < 0.5).long()},
        }


def found(samples: list[dict[str, Any]], **settings: Any) -> list[tuple[str, int]]:
    settings.setdefault("probability", [1.0] * len(samples))
    listed = suspects(Given(samples), Model(**settings))  # type: ignore[arg-type]
    return [(one.kind, place[1]) for one in listed for place in one.places]


def test_a_class_is_doubted_where_another_one_is_as_sure_as_for_its_own_samples() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1])
    second = torch.tensor([0.1, 0.2, 0.95, 0.9, 0.8])  # mean of its own samples: 0.85
    assert doubted(torch.stack((1 - second, second), 1), labels).tolist() == [-1, -1, 1, -1, -1]
    second[2] = 0.7  # likelier than the label, and less than what class 1 usually has
    assert doubted(torch.stack((1 - second, second), 1), labels).tolist() == [-1] * 5
    only = doubted(torch.tensor([[0.4, 0.6], [0.9, 0.1]]), torch.tensor([0, 0]))
    assert only.tolist() == [-1, -1], "nobody is labelled as class 1"


def test_a_planted_label_of_the_whole_is_found_and_an_unlabelled_sample_is_not() -> None:
    samples = [sample(scene=0), sample(scene=0), sample(scene=1), sample(scene=1), sample(scene=None)]
    assert found(samples, probability=[0.9, 0.9, 0.1, 0.95, 0.0]) == [("suspect_label", 3)]


def test_a_missing_box_and_a_box_of_another_class_are_found() -> None:
    samples = [sample(), sample(None), sample(label=1), sample([0.0, 0.0, 5.0, 5.0]), sample(label=-2)]
    assert sorted(found(samples)) == [("suspect_class", 2), ("suspect_missing", 1), ("suspect_missing", 3)]
    assert found(samples, score=0.5) == [], "what the run is not sure of says nothing"
    assert found([sample([10.0, 10.0, 20.0, 15.0], label=1)]) == [], "half of it may be another object"


def test_suspects_need_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data.num_train=4", "--data.num_val=4", "--data.num_test=4", "--samples", "1"]
    assert main(["check", "--config", "configs/digits.yaml", *flags, "--suspects"]) == 2
    assert "--run RUN" in capsys.readouterr().err
