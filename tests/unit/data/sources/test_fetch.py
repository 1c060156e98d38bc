"""A data set is fetched whole, checked and counted, or its folder does not appear."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from mtl.data.csv_rows import read_csv
from mtl.data.sources.fetch import fetch, how_to_fetch, source_of
from mtl.data.sources.source import Files, Source, digest
from tests.unit.data.sources.conftest import Mirror

COMMIT = "a" * 40
LETTERS = {"letters/a.txt": b"A", "letters/b.txt": b"B", "letters/c.bin": b"C"}
LISTING = "".join(f"{sha256(LETTERS[f'letters/{n}']).hexdigest()}  {n}\n" for n in ("a.txt", "b.txt"))


class _Letters(Source):
    """Two letters of one repository and a label of another."""

    name = "letters"
    licence = "none"
    cite = "us"
    max_bytes = 10_000
    files = (
        Files("me/letters", COMMIT, "letters", "texts", sha256(LISTING.encode()).hexdigest(), (".txt",), 2),
        Files("me/labels", COMMIT, "labels.csv", "labels.csv", sha256(b"1,2").hexdigest()),
    )
    counts: ClassVar[dict[str, int]] = {"letters": 2}

    def write(self, raw: Path, to: Path) -> None:
        (raw / "texts").rename(to / "texts")
        (raw / "labels.csv").rename(to / "labels.csv")

    def count(self, folder: Path) -> dict[str, int]:
        return {"letters": len(list((folder / "texts").iterdir()))}


@pytest.fixture
def full(mirror: Mirror) -> Mirror:
    mirror.put_repository("me/letters", COMMIT, {**LETTERS, "README.md": b"unused"})
    mirror.files[f"/me/labels/{COMMIT}/labels.csv"] = b"1,2"
    return mirror


def test_the_digest_of_a_folder_is_that_of_sha256sum(tmp_path: Path) -> None:
    for name in ("b", "B", "a"):
        (tmp_path / name).write_text(name)
    # LC_ALL=C; sha256sum * | sha256sum
    assert digest(list(tmp_path.iterdir())) == "3e1d390b9915804a8e4d8fc698bb838f50043a28bb003aad7e47ddf907fd9595"


def test_a_data_set_is_written_with_a_record_of_where_it_is_from(full: Mirror, tmp_path: Path) -> None:
    said: list[str] = []
    assert fetch(_Letters(), tmp_path / "to", full.address, said.append)
    assert sorted(file.name for file in (tmp_path / "to").rglob("*.*")) == [
        "a.txt",
        "b.txt",
        "labels.csv",
        "source.json",
    ]
    record = json.loads((tmp_path / "to/source.json").read_text())
    assert record["files"][0]["repository"] == "github.com/me/letters"
    assert record["licence"] == "none"
    assert [file.name for file in tmp_path.iterdir()] == ["to"], "downloads are deleted"
    assert len(said) == 3


def test_a_second_call_counts_and_fetches_nothing(full: Mirror, tmp_path: Path) -> None:
    fetch(_Letters(), tmp_path / "to", full.address)
    asked = len(full.asked)
    assert not fetch(_Letters(), tmp_path / "to", full.address)
    assert len(full.asked) == asked
    (tmp_path / "to/texts/a.txt").unlink()
    with pytest.raises(ValueError, match="has 1 letters instead of 2. Delete it"):
        fetch(_Letters(), tmp_path / "to", full.address)


def test_an_empty_folder_is_used_and_a_full_one_is_not(full: Mirror, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    assert fetch(_Letters(), tmp_path / "to", full.address)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="was not made by this command.*--to"):
        fetch(_Letters(), tmp_path / "mine", full.address)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("changed", ["letters/a.txt", "labels.csv"])
def test_other_bytes_are_refused_and_fetched_anew(full: Mirror, tmp_path: Path, changed: str) -> None:
    good = dict(full.files)
    if changed == "labels.csv":
        full.files[f"/me/labels/{COMMIT}/labels.csv"] = b"1,3"
    else:
        full.put_repository("me/letters", COMMIT, {**LETTERS, changed: b"X"})
    with pytest.raises(ValueError, match=r"found \d files with SHA-256 [0-9a-f]{64}, expected .*download was deleted"):
        fetch(_Letters(), tmp_path / "to", full.address)
    assert not (tmp_path / "to").exists()
    full.files = good
    assert fetch(_Letters(), tmp_path / "to", full.address)


def test_a_missing_file_is_refused(full: Mirror, tmp_path: Path) -> None:
    full.put_repository("me/letters", COMMIT, {"letters/a.txt": b"A"})
    with pytest.raises(ValueError, match="found 1 files .* expected 2 with"):
        fetch(_Letters(), tmp_path / "to", full.address)
    full.put_repository("me/letters", COMMIT, {"other/a.txt": b"A"})
    with pytest.raises(ValueError, match="found 0 files .* expected 2 with"):
        fetch(_Letters(), tmp_path / "to", full.address)


def test_a_call_that_was_stopped_continues(full: Mirror, tmp_path: Path) -> None:
    labels = full.files.pop(f"/me/labels/{COMMIT}/labels.csv")
    with pytest.raises(ValueError, match="404"):
        fetch(_Letters(), tmp_path / "to", full.address)
    full.files[f"/me/labels/{COMMIT}/labels.csv"] = labels
    assert fetch(_Letters(), tmp_path / "to", full.address)
    assert [path for path, _ in full.asked].count(f"/me/letters/tar.gz/{COMMIT}") == 1


def test_wrong_counts_are_an_error_before_the_folder_appears(
    full: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Letters, "counts", {"letters": 3})
    with pytest.raises(ValueError, match="2 letters instead of 3"):
        fetch(_Letters(), tmp_path / "to", full.address)
    assert not (tmp_path / "to").exists()


def test_a_newer_version_of_a_source_does_not_take_an_older_folder(
    full: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(_Letters(), tmp_path / "to", full.address)
    monkeypatch.setattr(_Letters, "files", (replace(_Letters.files[0], commit="b" * 40), _Letters.files[1]))
    with pytest.raises(ValueError, match="not made by this command from this version of letters"):
        fetch(_Letters(), tmp_path / "to", full.address)


def test_a_mirror_must_be_an_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--mirror file:///etc is no address"):
        fetch(_Letters(), tmp_path / "to", "file:///etc")


def test_an_unknown_name_is_told_the_near_one() -> None:
    with pytest.raises(ValueError, match="no data set 'bcd' to fetch. Did you mean 'bccd'"):
        source_of("bcd")


def test_a_missing_folder_is_told_how_to_get_it() -> None:
    assert how_to_fetch(Path("data/bccd")) == (
        " `python -m mtl data bccd --to data/bccd` fetches it from its public source."
    )
    assert how_to_fetch(Path("data/bccd/image_labels.csv")) == how_to_fetch(Path("data/bccd"))
    assert how_to_fetch(Path("data/mine")) == ""


def test_a_missing_table_says_how_to_fetch_it(tmp_path: Path) -> None:
    folder = tmp_path / "heart_disease"
    with pytest.raises(ValueError, match=f"no file .*python -m mtl data heart_disease --to {folder}` fetches it"):
        read_csv(folder / "heart_disease.csv", ())
