"""Downloads are complete or absent, continue where they stopped, and say what is wrong."""

from pathlib import Path

import pytest

from mtl.data.sources.download import TRIES, download
from tests.unit.data.sources.conftest import Mirror

CONTENT = bytes(range(256)) * 40


def test_a_file_arrives_whole(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"] = CONTENT
    said: list[str] = []
    download(mirror.address + "/a", tmp_path / "deep/a", 1 << 20, said.append)
    assert (tmp_path / "deep/a").read_bytes() == CONTENT
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a"]
    assert said == [f"download {mirror.address}/a"]


def test_a_file_that_is_there_is_not_fetched(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    download(mirror.address + "/a", tmp_path / "a", 1 << 20)
    assert not mirror.asked


def test_a_download_that_broke_off_continues(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"], mirror.cut_at = CONTENT, 1000
    with pytest.raises(OSError, match=rf"in {TRIES} tries: the connection ended after 1000 of {len(CONTENT)} bytes"):
        download(mirror.address + "/a", tmp_path / "a", 1 << 20, pause_s=0)
    assert not (tmp_path / "a").exists()
    mirror.cut_at = None
    download(mirror.address + "/a", tmp_path / "a", 1 << 20)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert mirror.asked[-1] == ("/a", "bytes=1000-")


def test_a_part_of_another_version_is_dropped(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"], mirror.cut_at = CONTENT, 1000
    with pytest.raises(OSError, match="tries"):
        download(mirror.address + "/a", tmp_path / "a", 1 << 20, pause_s=0)
    mirror.files["/a"], mirror.cut_at = CONTENT[::-1], None
    download(mirror.address + "/a", tmp_path / "a", 1 << 20)
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_server_without_versions_is_asked_from_the_start(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"], mirror.cut_at, mirror.tags = CONTENT, 1000, False
    with pytest.raises(OSError, match="tries"):
        download(mirror.address + "/a", tmp_path / "a", 1 << 20, pause_s=0)
    mirror.cut_at = None
    download(mirror.address + "/a", tmp_path / "a", 1 << 20)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert {asked for _, asked in mirror.asked} == {""}


def test_a_busy_server_is_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"], mirror.answers = CONTENT, [503, 429]
    said: list[str] = []
    download(mirror.address + "/a", tmp_path / "a", 1 << 20, said.append, pause_s=0)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert said[1].startswith("  the server answered 503")
    assert said[1].endswith("; trying again")


def test_a_part_that_the_server_refuses_is_dropped(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"], mirror.answers = CONTENT, [416]
    (tmp_path / "a.part").write_bytes(CONTENT + b"too much")
    (tmp_path / "a.etag").write_text('"x"')
    download(mirror.address + "/a", tmp_path / "a", 1 << 20, pause_s=0)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_file_that_the_server_lacks_is_an_error_at_once(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/gone: the server answered 404 .*may have moved"):
        download(mirror.address + "/gone", tmp_path / "a", 1 << 20)
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_refused(mirror: Mirror, tmp_path: Path, length: bool) -> None:
    mirror.files["/a"], mirror.length = CONTENT, length
    with pytest.raises(ValueError, match=r"/a has .*more than the 1000 (bytes )?allowed"):
        download(mirror.address + "/a", tmp_path / "a", 1000)
    assert not [file for file in tmp_path.iterdir() if file.suffix != ".etag"]


def test_no_network_is_said_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"could not be fetched in 3 tries: .*refused.*copy the folder"):
        download("http://127.0.0.1:9/a", tmp_path / "a", 1 << 20, pause_s=0)


def test_an_error_of_the_disk_is_not_tried_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/a"] = CONTENT
    (tmp_path / "a.part").mkdir()
    with pytest.raises(IsADirectoryError):
        download(mirror.address + "/a", tmp_path / "a", 1 << 20)
    assert len(mirror.asked) == 1
