"""Archives from the network write only the files that were chosen, and only into their folder."""

import tarfile
from pathlib import Path

import pytest

from mtl.data.sources.archive import unpack
from tests.unit.data.sources.conftest import tar


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "a.tar.gz"


def link(name: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def take_all(name: str) -> str:
    return name


def test_chosen_files_are_written_and_others_are_not(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(tar({"r/a.txt": b"1", "r/b.bin": b"2", "r/sub/c.txt": b"3"}, link("r/link")))
    number = unpack(archive, lambda n: n[2:] if n.endswith(".txt") else None, tmp_path / "to", 100, 5)
    assert number == 2
    found = {file.relative_to(tmp_path / "to").as_posix(): file.read_bytes() for file in (tmp_path / "to").rglob("*.*")}
    assert found == {"a.txt": b"1", "sub/c.txt": b"3"}


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "a//b", "./a", "a\\..\\b", "c:out", "a/.."])
def test_a_name_that_leaves_the_folder_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    archive.write_bytes(tar({"x": b"1"}))
    with pytest.raises(ValueError, match="leaves its folder"):
        unpack(archive, lambda _: name, tmp_path / "to", 100, 5)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.tar.gz"]


def test_names_of_the_archive_are_checked_too(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(tar({"../../out": b"1"}))
    with pytest.raises(ValueError, match=r"'\.\./\.\./out' leaves its folder"):
        unpack(archive, take_all, tmp_path / "to", 100, 5)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_chosen_link_is_refused(archive: Path, tmp_path: Path, kind: bytes) -> None:
    archive.write_bytes(tar({}, link("r/a", kind)))
    with pytest.raises(ValueError, match="'r/a' is a link or a device"):
        unpack(archive, take_all, tmp_path / "to", 100, 5)
    assert not (tmp_path / "to").exists()


def test_a_name_that_occurs_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(tar({"r/a": b"1", "s/a": b"2"}))
    with pytest.raises(ValueError, match="'s/a' occurs twice"):
        unpack(archive, lambda _: "a", tmp_path / "to", 100, 5)


def test_more_files_than_expected_are_refused(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(tar({str(i): b"" for i in range(4)}))
    with pytest.raises(ValueError, match="'3' is one of more than 3 files"):
        unpack(archive, take_all, tmp_path / "to", 100, 3)


def test_an_archive_that_unpacks_to_too_much_is_refused(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(tar({"skipped": bytes(10_000_000)}))  # less than 100 kB packed
    assert archive.stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to more than 1000 bytes"):
        unpack(archive, lambda _: None, tmp_path / "to", 1000, 5)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no archive"])
def test_a_damaged_archive_is_named(archive: Path, tmp_path: Path, damage: str) -> None:
    content = bytearray(tar({"a": bytes(range(256)) * 100}))
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[40] ^= 0xFF
    else:
        content = bytearray(b"<html>not found</html>")
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.tar.gz is damaged: \w"):
        unpack(archive, take_all, tmp_path / "to", 1 << 20, 5)
