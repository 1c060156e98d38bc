"""`files_below`: the files of a folder and its subfolders, also of linked ones, in the order of their names."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_OF_A_MAC = ("._", "__MACOSX")  # forks that its archives hold beside each file, with the suffix of the file


def files_below(
    folder: Path, leave_out: Path | None = None, unreadable: Callable[[Path, OSError], None] | None = None
) -> Iterator[Path]:
    """Files below a folder, sorted; a link that leads nowhere counts as a file.

    Linked folders are followed, each one once, but not into the folder itself or one that holds it, so links in a
    circle end. Hidden folders (`.ipynb_checkpoints` holds copies) and the forks in archives of a Mac are left out.

    Args:
        folder: the folder.
        leave_out: a folder whose files are left out.
        unreadable: called for a subfolder that cannot be listed; an error by default.

    Raises:
        ValueError: if a folder cannot be listed.
    """
    root = os.path.realpath(folder)
    yield from _walk(folder, root, {root}, os.path.realpath(leave_out) if leave_out else None, unreadable)


def _walk(
    folder: Path,
    root: str,
    followed: set[str],
    leave_out: str | None,
    unreadable: Callable[[Path, OSError], None] | None,
) -> Iterator[Path]:
    # one level of the stack for each level of folders; the file system's limit on paths is below Python's on the stack
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if unreadable is None:
            raise ValueError(
                f"folder {str(folder)!r} cannot be listed ({error.strerror}). Give yourself the right to read it, or "
                "move it out of the data."
            ) from error
        unreadable(folder, error)
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(_OF_A_MAC):
            continue
        if not _is_folder(entry):
            yield path
        elif not entry.name.startswith(".") and _enters(entry, root, followed, leave_out):
            yield from _walk(path, root, followed, leave_out, unreadable)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _enters(entry: os.DirEntry[str], root: str, followed: set[str], leave_out: str | None) -> bool:
    if not entry.is_symlink() and leave_out is None:
        return True
    real = os.path.realpath(entry.path)
    if real == leave_out:
        return False
    if entry.is_symlink():
        if _is_in(real, root) or _is_in(root, real) or real in followed:
            return False
        followed.add(real)
    return True


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
