"""Classes as rows of a table of predictions."""

import torch

from mtl.targets.classification import Classification
from mtl.task import Task


def test_of_two_classes_the_probability_of_the_second_stands_beside_the_answer() -> None:
    probabilities = torch.tensor([[0.4, 0.6]])
    predictions = {"labels": torch.tensor([0]), "scores": torch.tensor([0.4]), "probabilities": probabilities}
    target = Classification(Task("ill", "classification", class_names=("healthy", "sick")))
    row = target.row(target.overlay(predictions, 0))
    assert row == {"ill": "healthy", "ill_score": 0.4, "ill_probability_sick": 0.6}  # the threshold lies above 0.6


def test_of_more_classes_the_score_is_that_of_the_answer() -> None:
    predictions = {"labels": torch.tensor([1]), "scores": torch.tensor([0.5]), "probabilities": torch.rand(1, 3)}
    target = Classification(Task("light", "classification", class_names=("day", "dusk", "night")))
    assert target.row(target.overlay(predictions, 0)) == {"light": "dusk", "light_score": 0.5}
