"""Vocabularies: words and characters of the training sentences, and names of classes, written once to a small file.

Once a model is trained, the order of these names must not change. So the file keeps a fingerprint of the texts that it
was made of, and other texts are an error.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mtl.inputs.tokens import SPECIAL

Names = dict[str, tuple[str, ...]]


def vocabulary(items: Iterable[str], min_count: int = 1) -> tuple[str, ...]:
    """Padding, unknown, and the items by how often they occur, the most frequent first.

    Args:
        items: every occurrence of words or characters in the training texts.
        min_count: leave out what occurs less often.
    """
    counts = Counter(items)
    kept = [item for item, count in counts.items() if count >= min_count and item not in SPECIAL]
    return (*SPECIAL, *sorted(kept, key=lambda item: (-counts[item], item)))


def fingerprint(files: Iterable[Path], settings: Mapping[str, object]) -> str:
    """A hash of the contents of files and of the settings they are read with.

    Args:
        files: the files.
        settings: plain values.
    """
    found = hashlib.sha256(json.dumps(dict(settings), sort_keys=True, default=str).encode())
    for file in files:
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def written_once(file: Path, of: str, make: Callable[[], Names]) -> Names:
    """The names in a file; made and written where there is none. A folder that is read-only gets no file.

    Args:
        file: a JSON file.
        of: fingerprint of what the names are made of.
        make: makes them.

    Raises:
        ValueError: if the file is no such file, or was made of other texts.
    """
    if not file.is_file():
        names = make()
        _write(file, {"fingerprint": of, "names": names})
        return names
    try:
        stored = json.loads(file.read_text("utf-8"))
        found, names = stored["fingerprint"], {key: tuple(value) for key, value in stored["names"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(file)!r} is not a vocabulary that mtl wrote. Delete it to write a new one.") from error
    if found != of:
        raise ValueError(
            f"vocabulary {str(file)!r} was made of other texts, or with other settings, than the ones read now; models "
            "trained with it would read other words. Restore the data, name another file in `vocabulary`, or delete "
            "this one to write it again."
        )
    return names


def _write(file: Path, content: Mapping[str, object]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # every rank may write it at the same time
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    except OSError:
        return
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        json.dump(content, opened, ensure_ascii=False, indent=0)
    os.chmod(name, 0o644)
    os.replace(name, file)
