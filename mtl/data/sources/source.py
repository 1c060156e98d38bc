"""`Source`: a public data set, where its files are, and how they become the folder that a config reads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

ARCHIVES = "https://codeload.github.com"
SINGLE_FILES = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Files:
    """Files of a GitHub repository at one commit: one file, or files of one folder.

    Args:
        repository: owner and name.
        commit: 40 hex digits.
        path: path of the file or the folder in the repository.
        to: relative path of the file or the folder that `Source.write` reads.
        sha256: digest of the file; of a folder `sha256sum * | sha256sum` in it, names in byte order.
        suffixes: endings of the files to take from a folder; empty for a single file.
        number: number of files.
        names: of a folder, take these files only, and fetch them one by one; where the archive of the repository is far
            larger than they are.
    """

    repository: str
    commit: str
    path: str
    to: str
    sha256: str
    suffixes: tuple[str, ...] = ()
    number: int = 1
    names: tuple[str, ...] = ()

    def takes(self, name: str) -> str | None:
        """Where a file of the repository goes; None if it is not one of these files.

        Args:
            name: its path in the repository.
        """
        if not self.suffixes:
            return self.to if name == self.path else None
        folder, _, file = name.rpartition("/")
        taken = folder == self.path and file.endswith(self.suffixes) and (not self.names or file in self.names)
        return f"{self.to}/{file}" if taken else None

    def check(self, folder: Path) -> None:
        """Compare the files in a folder with the digest.

        Args:
            folder: what `to` is relative to.

        Raises:
            ValueError: saying what was found and what was expected.
        """
        place = folder / self.to
        files = sorted(place.iterdir()) if self.suffixes and place.is_dir() else [place] if place.is_file() else []
        found = digest(files) if self.suffixes else sha256(files[0].read_bytes()).hexdigest() if files else "none"
        if len(files) != self.number or found != self.sha256:
            raise ValueError(
                f"{self.path} of github.com/{self.repository} at {self.commit[:12]}: found {len(files)} files with "
                f"SHA-256 {found}, expected {self.number} with {self.sha256}. The download is damaged, or the server "
                "sent something else."
            )


def digest(files: list[Path]) -> str:
    """SHA-256 of the listing that `sha256sum` writes about files: digest and name on each line, in order of the names.

    Args:
        files: the files.
    """
    by_name = sorted(files, key=lambda file: file.name.encode())
    lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in by_name]
    return sha256("".join(lines).encode()).hexdigest()


class Source(ABC):
    """A public data set. A subclass in a file of this folder is found by its `name`.

    The first line of its docstring says what the set holds.
    """

    name: ClassVar[str]
    licence: ClassVar[str]  # as stated at the source
    cite: ClassVar[str]
    files: ClassVar[tuple[Files, ...]]
    max_bytes: ClassVar[int]  # of each download, and of each unpacked archive
    counts: ClassVar[Mapping[str, int]]  # what `count` finds in the complete set

    @abstractmethod
    def write(self, raw: Path, to: Path) -> None:
        """Write the folder that configs read: pictures, annotations, labels, splits.

        Args:
            raw: the checked files of the source, each under its `to`.
            to: an empty folder.
        """

    @abstractmethod
    def count(self, folder: Path) -> dict[str, int]:
        """Count what a written folder holds; by the names of `counts`.

        Args:
            folder: what `write` wrote.
        """
