"""What stands on standard input as a file, for commands whose readers take files."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named_file(path: Path) -> Iterator[Path]:
    """The file, or for `-` a temporary one that holds standard input.

    Args:
        path: what the user named.
    """
    if str(path) != "-":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "standard_input"
        file.write_bytes(sys.stdin.buffer.read())
        yield file
