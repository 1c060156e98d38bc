"""Pictures that do not decode: all found at the start, skipped on demand, and no file decoded twice."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from mtl.data.folder import decoded
from mtl.data.folder.decoded import find_undecodable
from mtl.data.folder.voc_folder import VOCFolder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def names(data: VOCFolder, split: str) -> list[str]:
    return [getattr(data, f"{split}_set").name(index) for index in range(len(getattr(data, f"{split}_set")))]


def test_all_bad_pictures_are_named_at_once_or_skipped(voc_root: Path, tmp_path: Path) -> None:
    whole = VOCFolder(root=str(voc_root), box_classes=["cat", "dog"])
    whole.setup("fit")
    train = names(whole, "train")
    bad = [train[0], names(whole, "val")[0]]
    (voc_root / f"images/{bad[0]}.png").write_text("no picture")
    cut(voc_root / f"images/{bad[1]}.png")
    report = tmp_path / "report.csv"
    with pytest.raises(ValueError, match="2 pictures cannot be decoded") as caught:
        VOCFolder(root=str(voc_root), box_classes=["cat", "dog"], report_csv=str(report)).setup("fit")
    assert all(f"{name}.png" in str(caught.value) for name in bad)
    assert str(caught.value).count("\n") < 5
    assert all(
        f"bad_image,{split},{name}" in report.read_text() for split, name in zip(("train", "val"), bad, strict=True)
    )
    assert {finding.image for finding in skipping(voc_root, "no picture of split 'val' can be decoded")} >= set(bad)


def skipping(root: Path, message: str) -> Any:
    data = VOCFolder(root=str(root), box_classes=["cat", "dog"], on_bad_image="skip")
    with pytest.raises(ValueError, match=message):
        data.setup("fit")
    return data.data_report


def test_skipped_pictures_are_reported(voc_root: Path) -> None:
    whole = VOCFolder(root=str(voc_root), box_classes=["cat", "dog"])
    whole.setup("fit")
    first, *others = names(whole, "train")
    cut(voc_root / f"images/{first}.png")
    data = VOCFolder(root=str(voc_root), box_classes=["cat", "dog"], on_bad_image="skip")
    data.setup("fit")
    assert names(data, "train") == others
    assert [(one.split, one.image, one.action) for one in data.data_report if one.kind == "bad_image"] == [
        ("train", first, "skipped")
    ]


def test_a_file_is_decoded_once_until_it_changes(voc_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted((voc_root / "images").glob("*.png"))
    read: list[Path] = []

    def counting(path: Path, **options: Any) -> Any:
        read.append(path)
        return whole(path, **options)

    whole = decoded.check_image
    monkeypatch.setattr(decoded, "check_image", counting)
    assert find_undecodable(files, voc_root) == {}
    assert sorted(read) == files
    read.clear()
    assert find_undecodable(files, voc_root) == {}
    assert read == []
    cut(files[1])
    for _ in range(2):  # a fault is found again
        assert list(find_undecodable(files, voc_root)) == [files[1]]
    assert read == [files[1]] * 2


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b'{"a": 5}'])
def test_a_damaged_cache_costs_only_time(voc_root: Path, content: bytes) -> None:
    files = sorted((voc_root / "images").glob("*.png"))
    find_undecodable(files, voc_root)
    cache = decoded._cache_file(voc_root)
    cache.write_bytes(content)
    cut(files[0])
    assert list(find_undecodable(files, voc_root)) == [files[0]]


def test_a_cache_that_cannot_be_written_is_no_error(
    voc_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_undecodable((voc_root / "images").glob("*.png"), voc_root) == {}


def test_a_user_without_a_home_keeps_the_cache_beside_other_passing_files(
    voc_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda name: name)
    assert decoded._cache_file(voc_root).is_relative_to(tempfile.gettempdir())
