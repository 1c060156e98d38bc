"""Planted faults in data are found, each by its kind; clean data have none."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.cli.main import main
from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.module import JointDataModule
from mtl.evaluation.data.data_check import check_data
from mtl.evaluation.data.object_counts import of_numbers
from mtl.targets.target import target_of
from mtl.task import Task
from tests.unit.data.conftest import Writer

TASKS = {"boxes": Task("boxes", "detection", class_names=("a", "b")), "scene": Task("scene", "classification", 2)}


class Planted(JointDataModule):
    """Samples as they are given."""

    from_config = False

    def __init__(self, **splits: list[dict[str, Any]]) -> None:
        super().__init__(TASKS)
        for split, samples in splits.items():
            setattr(self, f"{split}_set", samples)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return TASKS


def picture(seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def sample(seed: int, label: int = 0, side: float = 8.0, scene: int | None = 0, **rest: Any) -> dict[str, Any]:
    boxes = {"boxes": torch.tensor([[2.0, 2.0, 2.0 + side, 20.0]]), "boxes_labels": torch.tensor([label])}
    boxes[TASKS["boxes"].labels_field] = boxes.pop("boxes_labels")
    found = {"image": picture(seed), **boxes, **rest}
    return found if scene is None else {**found, "scene": torch.tensor(scene)}


def clean(start: int) -> list[dict[str, Any]]:
    return [sample(start + i, i % 2, scene=i % 2) for i in range(20)]


def kinds(data: JointDataModule) -> dict[str, str]:
    return {finding.kind: finding.level for finding in check_data(data).findings}


def test_clean_data_are_counted_and_have_no_finding() -> None:
    found = check_data(Planted(train=clean(0), val=clean(100), test=clean(200)))
    assert found.findings == []
    count = found.counts["train"]["boxes"]
    assert (count.samples, count.labelled, dict(count.classes), count.small) == (20, 20, {"a": 10, "b": 10}, 0)


@pytest.mark.parametrize(
    ("train", "val", "wanted"),
    [
        ([], [sample(3)], {"near_duplicate": "error"}),
        ([sample(50, side=2.9)], [], {"small": "warning"}),
        ([], [sample(50, image=torch.full((3, 32, 32), 90, dtype=torch.uint8))], {"uniform": "warning"}),
        ([sample(50, image=picture(50) // 13)], [], {"dark": "warning"}),
        ([sample(i, scene=None) for i in range(50, 90)], [], {"unlabelled": "warning"}),
        ([sample(i, 0) for i in range(300, 1300)], [], {"imbalance": "warning"}),
    ],
)
def test_a_planted_fault_is_the_only_finding(train: list[Any], val: list[Any], wanted: dict[str, str]) -> None:
    assert kinds(Planted(train=clean(0) + train, val=clean(100) + val, test=clean(200))) == wanted


def test_a_class_that_only_validation_has_is_an_error_and_a_rare_one_a_warning() -> None:
    train = [sample(i, 0, scene=i == 0) for i in range(20)]
    assert kinds(Planted(train=train, val=clean(100))) == {"absent_class": "error", "rare_class": "warning"}
    nothing = [{"image": picture(i)} for i in range(5)]
    assert kinds(Planted(train=nothing, val=clean(100)))["no_labels"] == "error"


def test_a_part_of_the_samples_is_spread_and_a_number_below_one_refused() -> None:
    data = Planted(train=clean(0), val=clean(100))
    assert check_data(data, 5).counts["train"]["scene"].samples == 5
    with pytest.raises(ValueError, match="at least 1"):
        check_data(data, 0)


def test_the_command_writes_a_table_json_and_an_exit_code(tmp_path: Path, capsys: Any) -> None:
    root = tmp_path / "data"
    root.mkdir()
    arguments: Any = VOCFolder.example_args(root)
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"data:\n  class_path: VOCFolder\n  init_args:\n    root: {root.as_posix()}\n"
        f"    box_classes: {list(arguments['box_classes'])}\n    image_size: [32, 32]\n"
    )
    page = tmp_path / "check.html"
    words = ["check", "--config", str(config), "--json", str(tmp_path / "check.json"), "--html", str(page), "--strict"]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 1
    found = json.loads((tmp_path / "check.json").read_text())
    assert "train" in found["counts"]
    assert found["findings"]
    assert "rare_class" in capsys.readouterr().out
    assert "rare_class" in page.read_text()


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("classification", torch.tensor(2), [2]),
        ("multilabel", torch.tensor([1.0, 0.0, 1.0]), [0, 2]),
        ("segmentation", torch.tensor([[2, -100], [0, 2]]), [0, 2]),
        ("regression", torch.tensor(2.0), []),
    ],
)
def test_every_kind_says_its_classes(kind: str, value: torch.Tensor, wanted: list[int]) -> None:
    target = target_of(Task("x", kind, 0 if kind == "regression" else 3))
    assert target.class_indices({"x": value}) == wanted
    assert target.sides_px({"x": value}) == []


def place(index: int) -> tuple[str, int]:
    return ("train", index)


def counted(numbers: list[int], scene: bool = True) -> list[Any]:
    """Findings about pictures with so many objects of class a."""
    objects = {place(i): {"boxes": Counter({"a": number} if number else {})} for i, number in enumerate(numbers)}
    shown = {place(i): {"scene": frozenset({"0"}) if scene else None} for i in range(len(numbers))}
    return list(of_numbers(objects, shown, TASKS, {place(i): f"p{i}" for i in range(len(numbers))}))


def test_labels_that_stop_at_a_number_are_found() -> None:
    tail = [1] * 40 + [5] * 8 + [11] * 2 + [12] * 3
    (finding,) = counted(tail + [13] * 9)
    assert finding.kind == "capped"
    assert "no picture has more than 13 objects of a class, and 9 have exactly 13" in finding.text
    assert finding.places == tuple(place(53 + i) for i in range(9))
    assert finding.text.endswith("(p53, p54, p55, p56, p57, ...)")
    assert counted(tail + [13] * 4) == [], "a tail that ends by itself"
    assert counted([1] * 40 + [4] * 9) == [], "at most four objects are few enough to label all"
    assert counted([9] * 40 + [3] * 5) == [], "nine is how many there are"


def test_a_picture_with_another_number_of_objects_than_nearly_all_is_noted() -> None:
    (finding,) = counted([1] * 60 + [2])
    assert (finding.kind, finding.level, finding.places) == ("odd_number", "note", (place(60),))
    assert finding.text == "p60: 2 a, where 98% of the pictures with a label of 'scene' have 1"
    assert counted([1] * 60 + [2], scene=False) == []
    assert counted([1] * 60 + [2] * 10) == []
    assert counted([1] * 60 + [0]) == [], "said by the check of labels that disagree"


def test_everything_that_fit_would_refuse_is_found_at_once(tmp_path: Path, capsys: Any) -> None:
    voc_root, write = tmp_path, Writer()
    for i in range(6):
        write.picture(voc_root / f"images/p{i}.png", seed=i)
        write.voc(voc_root / f"annotations/p{i}.xml", [("cat", 1, 1, 10, 10), ("dog", 11 + i, 6, 40, 30)])
    write.splits(voc_root / "splits", train=["p0", "p1", "p2", "p3"], val=["p4"], test=["p5"])
    (voc_root / "images/p1.png").write_bytes((voc_root / "images/p1.png").read_bytes()[:300])
    write.voc(voc_root / "annotations/p2.xml", [("cat", 1, 1, 60, 10)])
    write.voc(voc_root / "annotations/p3.xml", [("cow", 1, 1, 9, 10)])
    settings = f"root: {voc_root.as_posix()}, box_classes: [cat, dog], image_size: [30, 40]"
    (voc_root / "mine.yaml").write_text(f"data: {{class_path: VOCFolder, init_args: {{{settings}}}}}\n")
    words = ["check", "--config", str(voc_root / "mine.yaml"), "--json", str(voc_root / "found.json")]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 1
    found = json.loads((voc_root / "found.json").read_text())["findings"]
    refused = {one["kind"]: one["text"] for one in found if "fit refuses it" in one["text"]}
    assert sorted(refused) == ["bad_image", "box_outside", "unknown_class"]
    assert "p1" in refused["bad_image"]
    assert "on_bad_box: clip" in refused["box_outside"]
    assert {one["level"] for one in found if one["kind"] in refused} == {"error"}
    # what the config skips on purpose is a warning
    capsys.readouterr()
    lenient = ["--data.on_bad_image=skip", "--data.on_bad_box=skip", "--data.on_unknown_class=skip"]
    assert main([*words, *lenient]) == 0
    assert "fit refuses it" not in capsys.readouterr().out


def test_the_file_of_findings_names_the_samples() -> None:
    data = Planted(train=[*clean(0), sample(3)], val=clean(100))
    (copy,) = [one for one in check_data(data).plain()["findings"] if one["kind"] == "copy_in_split"]
    assert copy["samples"] == ["train sample 3", "train sample 20"]
