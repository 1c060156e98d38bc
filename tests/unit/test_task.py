"""`Task`: names, class counts and the batch keys they give."""

import pytest

from mtl.targets.target import target_of
from mtl.task import InputSpec, Task


def test_class_count_comes_from_the_names() -> None:
    assert Task("scene", "classification", class_names=("day", "night")).num_classes == 2


def test_a_list_of_names_as_yaml_gives_it_makes_an_equal_hashable_task() -> None:
    listed = Task("scene", "classification", class_names=["day", "night"])  # type: ignore[arg-type]
    assert listed == Task("scene", "classification", 2, ("day", "night"))
    assert hash(listed) == hash(Task("scene", "classification", 2, ("day", "night")))


def test_task_is_frozen() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        Task("scene", "regression").name = "other"  # type: ignore[misc]


def test_batch_keys_follow_the_name() -> None:
    assert Task("boxes", "detection", 3).labels_field == "box_labels"
    assert Task("faces", "detection", 3).labels_field == "faces_labels"
    assert Task("faces", "detection", 3).labelled_field == "labelled/faces"


def test_class_name_falls_back_to_the_number() -> None:
    assert Task("scene", "classification", class_names=("day", "night")).class_name(1) == "night"
    assert Task("scene", "classification", 2).class_name(1) == "1"


def test_a_kind_of_your_own_needs_no_classes() -> None:
    assert Task("depth", "dense_depth").num_classes == 0


@pytest.mark.parametrize("name", ["", "two words", "a/b", "1st", "class"])
def test_rejects_a_name_that_cannot_be_a_key(name: str) -> None:
    with pytest.raises(ValueError, match="becomes a key"):
        Task(name, "regression")


def test_rejects_counts_that_disagree() -> None:
    with pytest.raises(ValueError, match="num_classes=3 but 2 class_names"):
        Task("scene", "classification", 3, ("day", "night"))


def test_rejects_a_class_named_twice() -> None:
    with pytest.raises(ValueError, match="names a class twice: day, day"):
        Task("scene", "classification", class_names=("day", "day"))


@pytest.mark.parametrize("kind", ["classification", "multilabel", "detection"])
def test_rejects_a_kind_with_classes_and_no_count(kind: str) -> None:
    with pytest.raises(ValueError, match="needs num_classes or class_names"):
        target_of(Task("scene", kind))


def test_rejects_a_kind_that_no_file_serves() -> None:
    with pytest.raises(ValueError, match="kind 'regresion', which no file.*Did you mean 'regression'"):
        target_of(Task("age", "regresion"))


def test_an_input_has_as_many_channels_as_names() -> None:
    assert InputSpec("row", "table", names=("age", "sex")).channels == 2
    with pytest.raises(ValueError, match="channels=3 and 2 names"):
        InputSpec("row", "table", 3, ("age", "sex"))
    with pytest.raises(ValueError, match="channels of at least 1"):
        InputSpec("row", "table")
