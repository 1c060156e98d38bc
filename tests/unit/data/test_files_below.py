"""Which files lie below a folder: links, loops, hidden folders, folders that cannot be listed."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mtl.data.files_below import files_below


def names(folder: Path, **options: Any) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder, **options)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_in_the_order_of_names_with_dead_links(tmp_path: Path) -> None:
    touch(tmp_path / "b/x y%20.png", tmp_path / "a.png", tmp_path / "b/c/ü.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert names(tmp_path) == ["a.png", "b/c/ü.png", "b/x y%20.png", "dead.png", "self.png"]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root / "real/a.png", other / "deep/b.png")
    (root / "linked").symlink_to(other)
    (root / "again").symlink_to(other)  # once is enough
    (root / "loop").symlink_to(root)
    (root / "inside").symlink_to(root / "real")
    (other / "deep/up").symlink_to(other)
    (other / "back").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    found = names(root)
    assert found == ["again/deep/b.png", "real/a.png"]


def test_copies_of_tools_and_one_folder_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "a.png", tmp_path / "._a.png", tmp_path / "__MACOSX/a.png", tmp_path / ".ipynb_checkpoints/a.png")
    touch(tmp_path / "out/a.png", tmp_path / "outer/a.png")
    assert names(tmp_path, leave_out=tmp_path / "out") == ["a.png", "outer/a.png"]


def test_a_hidden_root_is_no_hidden_folder(tmp_path: Path) -> None:
    touch(tmp_path / ".data/a.png")
    assert names(tmp_path / ".data") == ["a.png"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.png", tmp_path / "lost/b.png")
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "lost":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"folder '.*lost' cannot be listed \(Permission denied\)"):
        names(tmp_path)
    seen: list[str] = []
    assert names(tmp_path, unreadable=lambda folder, _: seen.append(folder.name)) == ["a.png"]
    assert seen == ["lost"]
