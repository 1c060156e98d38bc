"""Files and folders that somebody else may have made: read within limits, and never written through a link."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_OF_WANDB = re.compile(r"/wandb/(offline-)?run-[\w-]+/logs/debug-core\.log$")
_FLAGS = ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY")  # where the system has them; a FIFO without a writer must not block


class UnsafeFile(ValueError):
    """A file or a folder that is not what it should be: a link, a device, or far too large."""

    exit_code = 2


def read_small(path: str | Path, most: int, follow: bool = False) -> bytes:
    """The bytes of a regular file below a size limit.

    Args:
        path: the file.
        most: most bytes; what the file system says about its size is not believed.
        follow: whether it may be a link, as files may be that the user names.

    Raises:
        OSError: if it cannot be opened.
        UnsafeFile: if it is a link, no regular file, or larger.
    """
    flags = os.O_RDONLY | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UnsafeFile(f"{str(path)!r} is a link. Put the file itself there, or delete it.") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise UnsafeFile(f"{str(path)!r} is no regular file. Put one there, or delete it.")
        # a sparse file tells its size, and one of /proc says 0 and has more
        content = b"" if found.st_size > most else file.read(most + 1)
    if max(found.st_size, len(content)) > most:
        raise UnsafeFile(f"{str(path)!r} has more than {most:,} bytes, far more than a file of this kind holds.")
    return content


def read_end(path: str | Path, most: int) -> str:
    """The last letters of a text file such as a log, empty if there is none; a link or a device counts as none.

    Args:
        path: the file.
        most: how many bytes.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return ""
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most).decode("utf-8", errors="replace")
    except OSError:
        return ""


def own_folder(root: Path) -> None:
    """Check a folder before anything is written into it: what lies in it must lie there, not elsewhere.

    Links that stay inside are as good as files: W&B makes some, and one to its log elsewhere, which nobody writes.
    The root itself may be a link, or on another disk.

    Args:
        root: the folder; it may be missing.

    Raises:
        UnsafeFile: naming the first link that leads out, file with a second name, or device.
    """
    inside = os.path.realpath(root)
    if os.path.exists(inside) and not os.path.isdir(inside):
        raise UnsafeFile(f"{str(root)!r} is a file; give a folder to write to.")
    for path, found in _entries(inside):
        shown = os.path.join(root, os.path.relpath(path, inside))
        if stat.S_ISLNK(found.st_mode):
            out = not os.path.realpath(path).startswith(inside + os.sep)
            if out and not _OF_WANDB.search(Path(path).as_posix()):
                where = os.readlink(path)
                raise UnsafeFile(f"{shown!r} is a link to {where!r}. Put the file itself there, or delete the link.")
        elif stat.S_ISREG(found.st_mode):
            if found.st_nlink > 1:
                raise UnsafeFile(
                    f"{shown!r} is one file with {found.st_nlink} names (hard links), of which others may lie "
                    "elsewhere. Put a copy there."
                )
        elif not stat.S_ISDIR(found.st_mode):
            raise UnsafeFile(f"{shown!r} is neither a file nor a folder. Delete it.")


def _entries(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, without going through links."""
    folders = [root] if os.path.isdir(root) else []
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            yield entry.path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
