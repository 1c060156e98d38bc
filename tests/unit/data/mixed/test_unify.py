"""Tasks of several sets become one list; classes are united by name; what cannot be one is refused with a way out."""

import pytest
import torch
from torchvision import tv_tensors

from mtl.data.mixed.unify import unify
from mtl.task import Task

ANIMALS = Task("scene", "classification", class_names=("cat", "dog"))
OTHERS = Task("scene", "classification", class_names=("dog", "bird"))


def test_classes_are_united_by_name_in_order_of_appearance() -> None:
    tasks, translations = unify({"a": {"scene": ANIMALS}, "b": {"scene": OTHERS}}, {})
    assert tasks["scene"].class_names == ("cat", "dog", "bird")
    (translate,) = translations["b"]
    assert [int(translate({"scene": value})["scene"]) for value in (0, 1, -100)] == [1, 2, -100]
    assert translations["a"][0]({"scene": 1}) == {"scene": 1} or int(translations["a"][0]({"scene": 1})["scene"]) == 1


def test_a_sample_without_a_label_stays_without_one() -> None:
    _, translations = unify({"a": {"scene": ANIMALS}, "b": {"scene": OTHERS}}, {})
    assert translations["b"][0]({}) == {}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("segmentation", tv_tensors.Mask(torch.tensor([[0, 1], [-100, 1]])), [[1, 2], [-100, 2]]),
        ("tags", torch.tensor([1, 0, -100]), [2, 1, -100]),
    ],
)
def test_maps_and_tags_move_their_classes(kind: str, value: torch.Tensor, expected: list[object]) -> None:
    a, b = (Task("t", kind, class_names=names) for names in (("cat", "dog"), ("dog", "bird")))
    _, translations = unify({"a": {"t": a}, "b": {"t": b}}, {})
    moved = translations["b"][0]({"t": value})["t"]
    assert moved.tolist() == expected
    assert isinstance(moved, tv_tensors.Mask) == isinstance(value, tv_tensors.Mask)


def test_a_multilabel_class_that_a_set_does_not_know_is_unknown() -> None:
    a, b = (Task("t", "multilabel", class_names=names) for names in (("cat", "dog"), ("dog", "bird")))
    _, translations = unify({"a": {"t": a}, "b": {"t": b}}, {})
    moved = translations["b"][0]({"t": torch.tensor([1.0, 0.0])})["t"]
    assert moved.isnan().tolist() == [True, False, False]
    assert moved[1:].tolist() == [1.0, 0.0]


def test_boxes_of_sets_with_other_classes_are_two_tasks_unless_their_objects_are_absent() -> None:
    a, b = (Task("boxes", "detection", class_names=names) for names in (("cat", "dog"), ("dog", "bird")))
    parts = {"a": {"boxes": a}, "b": {"boxes": b}}
    with pytest.raises(ValueError, match=r"'a' does not label bird.*rename: \{a: \{boxes: a_boxes\}\}"):
        unify(parts, {})
    _, translations = unify(parts, {}, unnamed_is_absent=True)
    moved = translations["b"][0]({"boxes": torch.ones(2, 4), "box_labels": torch.tensor([1, 0])})
    assert moved["box_labels"].tolist() == [2, 1]
    tasks, translations = unify(parts, {"b": {"boxes": "birds"}})
    assert list(tasks) == ["boxes", "birds"]
    moved = translations["b"][0]({"boxes": torch.ones(1, 4), "box_labels": torch.tensor([1])})
    assert set(moved) == {"birds", "birds_labels"}


def test_a_task_may_be_left_out() -> None:
    tasks, translations = unify({"a": {"scene": ANIMALS}, "b": {"scene": OTHERS}}, {}, {"b": ["scene"]})
    assert tasks == {"scene": ANIMALS}
    assert translations["b"] == []


@pytest.mark.parametrize(
    ("other", "renames", "message"),
    [
        (Task("scene", "regression"), {}, "'classification' in part 'a' and of kind 'regression' in part 'b'"),
        (Task("scene", "classification", num_classes=2), {}, "classes are united by name"),
        (OTHERS, {"c": {}}, "no part 'c'; parts are a, b"),
        (OTHERS, {"b": {"scen": "x"}}, "part 'b' has no task 'scen'.*scene"),
    ],
)
def test_what_cannot_be_one_is_refused(other: Task, renames: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unify({"a": {"scene": ANIMALS}, "b": {"scene": other}}, renames)
