"""Labels that a run disagrees with: planted ones are found, right ones are left alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.cli.main import main
from mtl.data.module import JointDataModule
from mtl.evaluation.data.data_check import check_data
from mtl.evaluation.data.data_page import data_page
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

    def __init__(self, probability: list[float], scores: list[float]) -> None:
        self.probability, self.scores, self.done = probability, scores, 0

    def eval(self) -> None:
        pass

    def predict(self, batch: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        number = len(batch["image"])
        first = torch.tensor(self.probability[self.done : self.done + number])
        scores = torch.tensor(self.scores[self.done : self.done + number])[:, None]
        self.done += number
        boxes = torch.tensor(BOX).expand(number, 1, 4)
        labels = torch.zeros(number, 1, dtype=torch.long)
        return {
            "boxes": {"boxes": boxes, "scores": scores, "labels": labels},
            "scene": {"probabilities": torch.stack((first, 1 - first), -1), "labels": (first < 0.5).long()},
        }


def found(samples: list[dict[str, Any]], **settings: Any) -> list[tuple[str, int]]:
    settings = {"probability": [1.0] * len(samples), "scores": [0.9] * len(samples), **settings}
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


def test_a_missing_box_and_a_box_of_another_class_are_found_the_surest_first() -> None:
    right = [sample()] * 6
    wrong = [sample(None), sample(label=1), sample([0.0, 0.0, 5.0, 5.0])]
    found_now = found([*right, *wrong], scores=[0.2, 0.2, 0.4, 0.4, 0.4, 0.4, 0.35, 0.35, 0.38])  # right ones 0.33
    assert found_now == [("suspect_missing", 8), ("suspect_missing", 6), ("suspect_class", 7)]
    assert found([*right, *wrong], scores=[0.2, 0.2, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3]) == [], "less sure than usual"


def test_a_class_that_the_run_does_not_know_is_not_doubted() -> None:
    assert found([sample(None)] * 3) == [], "it is never right"
    assert found([sample()] * 3 + [sample(None)] * 3) == [], "as often wrong as right"
    assert found([sample()] * 3 + [sample(None)] * 2) == [("suspect_missing", 3), ("suspect_missing", 4)]


def test_boxes_to_be_ignored_and_parts_of_objects_cast_no_doubt() -> None:
    assert found([sample(), sample(), sample(label=-2), sample([10.0, 10.0, 20.0, 14.0], label=1)]) == []


def test_the_page_draws_the_box_that_the_run_says() -> None:
    samples = [sample(), sample(), sample(None)]
    data = Given(samples)
    data.val_set = data.test_set = []
    (missing,) = suspects(data, Model([1.0] * 3, [0.9] * 3))  # type: ignore[arg-type]
    assert missing.said == {"task": "boxes", "label": 0, "score": 0.9, "box": BOX}
    found_now = check_data(data)
    found_now.findings = [missing]
    with_box = data_page(data, found_now, "x")
    found_now.findings = [replace(missing, said=None)]
    assert with_box.count("<img") == 1
    assert with_box != data_page(data, found_now, "x")


def test_suspects_need_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data.num_train=4", "--data.num_val=4", "--data.num_test=4", "--samples", "1"]
    assert main(["check", "--config", "configs/digits.yaml", *flags, "--suspects"]) == 2
    assert "--run RUN" in capsys.readouterr().err
