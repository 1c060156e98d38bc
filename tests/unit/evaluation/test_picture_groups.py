"""Pictures that stay together in one split."""

from pathlib import Path

from PIL import Image

from mtl.data.folder.annotations import AnnotatedImage
from mtl.evaluation.data.picture_groups import _joined, picture_groups


def test_groups_that_meet_in_a_picture_are_one_also_through_a_third() -> None:
    copies = {"p1": "p", "p2": "p", "r1": "r"}
    alike = {"q2": "b", "p2": "b", "p1": "a", "q1": "a", "s1": "s", "s2": "s"}
    groups = _joined(copies, alike)
    assert set(groups) == {*copies, *alike}
    assert len({groups[name] for name in ("p1", "p2", "q1", "q2")}) == 1
    assert groups["s1"] == groups["s2"]
    assert len({groups[name] for name in ("p1", "r1", "s1")}) == 3


def test_a_picture_of_one_pixel_looks_like_none(tmp_path: Path) -> None:
    records = []
    for name in ("a", "b"):
        Image.new("RGB", (1, 1)).save(tmp_path / f"{name}.png")
        records.append(AnnotatedImage(name, tmp_path / f"{name}.png"))
    Image.new("RGB", (1, 1), "red").save(tmp_path / "b.png")
    assert picture_groups(records, None, {}, []) == {}
