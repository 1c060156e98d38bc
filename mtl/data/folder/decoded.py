"""Which pictures decode: each file is decoded once, and remembered by path, size and time.

The cache is one JSON file in `~/.cache/mtl/decoded`, or in `$XDG_CACHE_HOME`, for each root. It is only a saving: a
cache that is missing, damaged or cannot be written costs time and nothing else.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mtl.data.folder.annotations import AnnotatedImage, Checks
from mtl.data.folder.findings import DataReport
from mtl.data.folder.picture_names import is_file
from mtl.data.images import check_image, read_header
from mtl.errors import printable

_MOST_NAMED = 50  # files in an error
_MOST_BYTES = 1_000_000_000  # of a cache; 10 million pictures have fewer


def without_undecodable(
    listed: Mapping[str, list[AnnotatedImage]], root: Path, checks: Checks, report: DataReport
) -> dict[str, list[AnnotatedImage]]:
    """The records whose pictures decode; maps that do not decode are taken out of the others.

    Args:
        listed: the records of each split.
        root: folder of the data set.
        checks: how to handle faults.
        report: receives one finding for each file.

    Raises:
        ValueError: naming the files, if there are some and `on_bad_image` is `error`.
    """
    files = [path for records in listed.values() for one in records for path in (one.path, *one.maps.values())]
    faults = {path: why for path in dict.fromkeys(files) if (why := _fault_of_header(path, checks.max_pixels))}
    if checks.verify_images:
        faults |= find_undecodable([path for path in files if path not in faults], root, checks.max_pixels)
    for split, records in listed.items():
        for one in records:
            done = "skipped" if checks.on_bad_image == "skip" else "refused"
            if one.path in faults:
                report.add("bad_image", split, one.name, faults[one.path], done)
            for task in [task for task, path in one.maps.items() if path in faults]:
                report.add("bad_map", split, one.name, faults[one.maps[task]], done)
                del one.maps[task]
    if faults and checks.on_bad_image == "error":
        raise ValueError(_refused(faults, report.name))
    kept = {split: [one for one in records if one.path not in faults] for split, records in listed.items()}
    for split, records in listed.items():
        if records and not kept[split]:
            raise ValueError(
                f"{report.name}: no picture of split {split!r} can be decoded; on_bad_image: skip left none. "
                f"The first: {faults[records[0].path]}"
            )
    return kept


def _fault_of_header(path: Path, max_pixels: int | None) -> str:
    try:
        if is_file(path):
            read_header(path, max_pixels)
    except ValueError as error:
        return str(error)
    return ""


def _refused(faults: Mapping[Path, str], name: str) -> str:
    first = next(iter(faults.values()))
    skip = "To train without such pictures, set data.init_args.on_bad_image: skip."
    if len(faults) == 1:
        return f"{first} {skip}"
    shown = ", ".join(printable(str(path)) for path in list(faults)[:_MOST_NAMED])
    more = f" and {len(faults) - _MOST_NAMED} more (report_csv lists all)" if len(faults) > _MOST_NAMED else ""
    return f"{name}: {len(faults)} pictures cannot be decoded: {shown}{more}.\nThe first: {first}\n{skip}"


def find_undecodable(paths: Iterable[Path], root: Path, max_pixels: int | None = None) -> dict[Path, str]:
    """Decode every picture that has changed since it was last decoded.

    Args:
        paths: the files; missing ones are left out.
        root: folder of the data set, which the cache belongs to.
        max_pixels: maximum number of pixels per picture.

    Returns:
        The reason for each file that does not decode.
    """
    cache = _cache_file(root)
    known = _read(cache)
    states = {path: state for path in dict.fromkeys(paths) if (state := _state(path)) is not None}
    changed = [path for path, state in states.items() if known.get(_key(path)) != state]
    if not changed:
        return {}

    def reason(path: Path) -> str | None:
        try:
            check_image(path, max_pixels=max_pixels)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        reasons = list(pool.map(reason, changed))
    faults = {path: why for path, why in zip(changed, reasons, strict=True) if why is not None}
    # a fault is not remembered: a disk may have failed only once, and a broken file is read fast
    good = {_key(path): states[path] for path in changed if path not in faults}
    _write(cache, {**known, **good})
    return faults


def _key(path: Path) -> str:
    return os.path.abspath(path)


def _state(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # no file can have such a name
        return None
    return [found.st_size, found.st_mtime_ns]


def _cache_file(root: Path) -> Path:
    # a user without an entry, as in a container, has no home
    home = os.path.expanduser("~")
    base = Path(os.environ.get("XDG_CACHE_HOME") or (Path(home, ".cache") if home != "~" else tempfile.gettempdir()))
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
    return base / "mtl" / "decoded" / f"{digest}.json"


def _read(cache: Path) -> dict[str, list[int]]:
    try:
        if cache.stat().st_size > _MOST_BYTES:
            return {}
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(cache: Path, known: dict[str, list[int]]) -> None:
    part = cache.with_suffix(f".{os.getpid()}.part")  # several ranks may write
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known), encoding="utf-8")
        os.replace(part, cache)
    except (OSError, UnicodeError):
        with contextlib.suppress(OSError):
            part.unlink()
