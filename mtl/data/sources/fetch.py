"""Fetch a public data set: download, check, write, count; the folder appears when all of it is right."""

import json
import shutil
from pathlib import Path

from mtl.data.sources.archive import unpack
from mtl.data.sources.download import Say, download
from mtl.data.sources.source import ARCHIVES, SINGLE_FILES, Files, Source
from mtl.discovery import concrete_subclasses
from mtl.errors import did_you_mean

RECORD = "source.json"


def sources() -> dict[str, Source]:
    """Every source by its name."""
    return {cls.name: cls() for cls in concrete_subclasses(Source)}  # type: ignore[type-abstract]


def source_of(name: str) -> Source:
    """The source of a name.

    Args:
        name: such as `bccd`.

    Raises:
        ValueError: with the names there are.
    """
    known = sources()
    if name not in known:
        raise ValueError(
            f"there is no data set {name!r} to fetch.{did_you_mean(name, known)} There are {', '.join(known)}."
        )
    return known[name]


def how_to_fetch(missing: Path) -> str:
    """A sentence for an error about a missing folder or file; empty if no source has the name of a folder of the path.

    Args:
        missing: folder of a data set, or a file in it.
    """
    known = sources()
    folder = next((place for place in (missing, *missing.parents) if place.name in known), None)
    if folder is None:
        return ""
    return f" `python -m mtl data {folder.name} --to {folder}` fetches it from its public source."


def fetch(source: Source, to: Path, mirror: str | None = None, say: Say = lambda _: None) -> bool:
    """Make the folder of a data set, unless it is there.

    Downloads lie in `.<folder>.download` beside the folder until everything is right, so that a call that was stopped
    continues there.

    Args:
        source: the data set.
        to: folder to make.
        mirror: address of a server that has the same paths as GitHub's, instead of those.
        say: receives one line for each step.

    Returns:
        Whether the folder is new; False if it was there and its counts are right.

    Raises:
        ValueError: if the folder holds something else, or what came differs from what was expected.
        OSError: if the network or the disk fails.
    """
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise ValueError(f"--mirror {mirror} is no address; write http://... or https://...")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        _check_earlier(source, to)
        return False
    work = to.parent / f".{to.name}.download"
    raw, ready = work / "raw", work / "ready"
    for folder in (raw, ready):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for archived, files in _grouped(source.files):
        _get(source, files, archived, work, raw, mirror, say)
    say("write splits and labels")
    source.write(raw, ready)
    _check_counts(source, ready)
    (ready / RECORD).write_text(json.dumps(_record(source), indent=2) + "\n", "utf-8")
    if to.is_dir():
        to.rmdir()  # empty: on Windows a folder does not replace another
    ready.replace(to)
    shutil.rmtree(work)
    return True


def _grouped(files: tuple[Files, ...]) -> list[tuple[bool, list[Files]]]:
    """Whether files come in the archive of their repository, and the files that come together."""
    groups: dict[tuple[str, str], list[Files]] = {}
    for part in files:
        groups.setdefault((part.repository, part.commit), []).append(part)
    grouped = []
    for parts in groups.values():
        if any(part.suffixes and not part.names for part in parts):
            grouped.append((True, parts))
        else:
            grouped += [(False, [part]) for part in parts]
    return grouped


def _get(
    source: Source, files: list[Files], archived: bool, work: Path, raw: Path, mirror: str | None, say: Say
) -> None:
    repository, commit = files[0].repository, files[0].commit
    if archived:
        paths = [f"{repository}/tar.gz/{commit}"]
    else:
        names = [f"/{name}" for name in files[0].names] or [""]
        paths = [f"{repository}/{commit}/{files[0].path}{name}" for name in names]
    server = mirror or (ARCHIVES if archived else SINGLE_FILES)
    got = [work / path.replace("/", "-") for path in paths]
    for path, file in zip(paths, got, strict=True):
        download(f"{server}/{path}", file, source.max_bytes, say)
    try:
        if archived:
            unpack(got[0], lambda name: _target(files, name), raw, source.max_bytes, sum(part.number for part in files))
        else:
            _copy(files[0], got, raw)
        for part in files:
            part.check(raw)
    except ValueError as error:
        for file in got:
            file.unlink()
        deleted = "The download was" if len(got) == 1 else "The downloads were"
        raise ValueError(f"{error} {deleted} deleted; run the command again to fetch anew.") from error


def _copy(part: Files, got: list[Path], raw: Path) -> None:
    for name, file in zip(part.names or (None,), got, strict=True):
        to = raw / part.to if name is None else raw / part.to / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def _target(files: list[Files], name: str) -> str | None:
    inside = name.partition("/")[2]  # the first folder is named after the repository and the commit
    return next((target for part in files if (target := part.takes(inside)) is not None), None)


def _check_counts(source: Source, folder: Path) -> None:
    counts = source.count(folder)
    wrong = [
        f"{counts.get(name, 0)} {name} instead of {number}"
        for name, number in source.counts.items()
        if counts.get(name) != number
    ]
    if wrong:
        raise ValueError(f"{str(folder)!r} has {', '.join(wrong)}. Delete it, and run the command again.")


def _check_earlier(source: Source, to: Path) -> None:
    record = to / RECORD
    try:
        known = json.loads(record.read_text("utf-8"))["files"] if to.is_dir() else None
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known != _record(source)["files"]:
        raise ValueError(
            f"{str(to)!r} exists and was not made by this command from this version of {source.name}. Choose another "
            "folder with --to, or delete it."
        )
    _check_counts(source, to)


def _record(source: Source) -> dict[str, object]:
    files = [
        {"repository": f"github.com/{part.repository}", "commit": part.commit, "path": part.path, "sha256": part.sha256}
        for part in source.files
    ]
    return {"name": source.name, "licence": source.licence, "cite": source.cite, "files": files}
