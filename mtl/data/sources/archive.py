"""Take files out of a tar archive from the network: names are checked, links refused, sizes bounded."""

import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

_CHUNK = 1 << 18


def unpack(archive: Path, target: Callable[[str], str | None], to: Path, max_bytes: int, max_files: int) -> int:
    """Write chosen members of a `.tar.gz` into a folder. No name of the archive becomes a path by itself.

    Args:
        archive: the file.
        target: for the name of a member in the archive, the relative path to write it to, or None to skip it.
        to: folder to write into.
        max_bytes: largest unpacked size of the whole archive.
        max_files: largest number of members that are written.

    Returns:
        The number of files written.

    Raises:
        ValueError: if the archive is damaged or too large, or a chosen member is not a plain file, leaves the folder
            or occurs twice.
    """
    written: set[Path] = set()
    total = 0
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                total += member.size
                if total > max_bytes:
                    raise ValueError(f"{archive} unpacks to more than {max_bytes} bytes; it is not the expected file.")
                path = target(member.name)
                if path is None or member.isdir():
                    continue
                content = members.extractfile(member) if member.isfile() else None
                if content is None:
                    raise ValueError(f"{archive}: {member.name!r} is a link or a device, not a file; nothing is used.")
                file = inside(to, path, archive)
                if file in written or len(written) >= max_files:
                    problem = "occurs twice" if file in written else f"is one of more than {max_files} files"
                    raise ValueError(f"{archive}: {member.name!r} {problem}; it is not the expected archive.")
                written.add(file)
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as output:
                    while chunk := content.read(_CHUNK):
                        output.write(chunk)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise ValueError(f"{archive} is damaged: {error or type(error).__name__}.") from error
    return len(written)


def inside(folder: Path, path: str, archive: Path) -> Path:
    """The file that a relative path names in a folder.

    Args:
        folder: the folder.
        path: the relative path, with `/`.
        archive: for the message.

    Raises:
        ValueError: if the path is absolute, or leaves the folder on any system.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or os.sep in part or set(part) & set("\\:\0") for part in parts):
        raise ValueError(f"{archive}: the path {path!r} leaves its folder; nothing is used.")
    return folder.joinpath(*parts)
