"""`ShardSet`: the samples of one split in shards, read by index; `write_shards` writes them.

The format is litdata's: files of some megabytes, `chunk-*.bin`, each with a count n, n + 1 offsets (all uint32) and the
samples; `index.json` lists the files. litdata writes the shards and downloads them from a bucket. This file reads them,
because litdata's access by index is made for sequential order: in random order it read 1,300 samples of 12 kB per
second, this file reads 28,000 on one core.
"""

import hashlib
import json
import mmap
import struct
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.shards.sample_bytes import decode_sample, encode_sample
from mtl.errors import import_optional

INDEX = "index.json"
_MOST_OPEN = 256  # shards mapped at once: each needs a file descriptor, and the usual limit is 1,024
_PATIENCE_S = 600.0  # timeout for another process that downloads the same shard


class ShardSet(Dataset[Sample]):
    """Samples of one split, by index.

    Args:
        source: folder, or an address that litdata supports (`s3://`, `gs://`, `azure://`, `r2://`, `hf://`).
        cache_dir: folder for downloaded shards.

    Raises:
        ValueError: if the index is missing or damaged, or a shard in a folder is missing or has the wrong length.
    """

    def __init__(self, source: str, cache_dir: Path) -> None:
        self.source = source
        self.remote = is_address(source)
        text = fetch_text(source, INDEX, cache_dir)
        # the folder depends on the index, so a rewritten data set is downloaded again
        name = hashlib.sha256(f"{source}\n{text}".encode()).hexdigest()[:16]
        self.folder = cache_dir / name if self.remote else Path(source)
        self.shards = _read_index(text, f"{source}/{INDEX}")
        self.shard_sizes = np.array([shard["chunk_size"] for shard in self.shards])
        self._ends = np.cumsum(self.shard_sizes)
        self._open: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._ahead: ThreadPoolExecutor | None = None
        if self.remote:
            self.folder.mkdir(parents=True, exist_ok=True)
        for shard in self.shards:
            _check_length(self.folder / shard["filename"], shard, may_be_missing=self.remote)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = int(np.searchsorted(self._ends, index, side="right"))
        row = index - int(self._ends[shard] - self.shard_sizes[shard])
        view = self._view(shard)
        begin, end = struct.unpack_from("<II", view, 4 + 4 * row)
        try:
            # litdata stores the length of each part before it; a sample is one part
            return decode_sample(view[begin + 4 : end])
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(
                f"shard {str(self.folder / self.shards[shard]['filename'])!r} is damaged: sample {row} of its "
                f"{self.shard_sizes[shard]}: {error}. Delete or replace that file, or write the shards again."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        # open files and threads are not pickled
        return {**self.__dict__, "_open": OrderedDict(), "_ahead": None}

    def verify(self) -> None:
        """Read each sample once; raises an error for the first damaged sample."""
        for index in range(len(self)):
            self[index]

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Start to download shards that are needed soon; does nothing for a folder.

        Args:
            shards: indices of the shards.
        """
        wanted = [s for s in shards if not (self.folder / self.shards[s]["filename"]).exists()] if self.remote else []
        if wanted and self._ahead is None:
            self._ahead = ThreadPoolExecutor(2, "shards")
        for shard in wanted:
            # errors are ignored here: the process that needs the shard retries and raises them
            assert self._ahead is not None
            self._ahead.submit(self._path, shard)

    def _view(self, shard: int) -> mmap.mmap:
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        with self._path(shard).open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._open[shard] = view
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return view

    def _path(self, shard: int) -> Path:
        """The complete file of a shard, downloaded if missing."""
        path: Path = self.folder / self.shards[shard]["filename"]
        deadline = time.monotonic() + _PATIENCE_S
        while self.remote and not path.exists():
            # returns immediately without the file while another process downloads it
            _download(self.source, path.name, path)
            if not path.exists():
                time.sleep(0.1)
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"timed out after {_PATIENCE_S:.0f} s waiting for another process to download shard "
                        f"{self.source}/{path.name}."
                    )
        _check_length(path, self.shards[shard])
        return path


def write_shards(dataset: Dataset[Sample], folder: Path, shard_bytes: int = 64_000_000, png: bool = False) -> int:
    """Write the samples of a data set as shards.

    Args:
        dataset: the samples.
        folder: an empty or new folder.
        shard_bytes: size of a shard; a few hundred samples per shard shuffle well.
        png: compress the pictures as PNG.

    Returns:
        The number of shards.

    Raises:
        ValueError: if the folder is not empty, or `shard_bytes` is out of range.
        ImportError: if litdata is not installed.
    """
    if not 0 < shard_bytes < 2**31:
        raise ValueError(f"shard_bytes={shard_bytes} must be within 1..{2**31 - 1}: offsets in a shard have 32 bits.")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} is not empty. Choose another folder, or delete its contents.")
    streaming = import_optional("litdata.streaming", "streaming")
    writer = streaming.Cache(str(folder), chunk_bytes=shard_bytes)
    for index in range(len(dataset)):  # type: ignore[arg-type]
        writer[index] = encode_sample(dataset[index], png)
    writer.done()
    writer.merge()
    return len(_read_index((folder / INDEX).read_text("utf-8"), str(folder / INDEX)))


def is_address(source: str) -> bool:
    """Whether the source has to be downloaded (`s3://...`).

    Args:
        source: folder or address; `local:FOLDER` downloads from a folder, for slow storage.
    """
    return "://" in source or source.startswith("local:")


def fetch_text(source: str, name: str, cache_dir: Path) -> str:
    """A small text file beside the shards, in its newest version.

    Args:
        source: folder or address.
        name: name of the file.
        cache_dir: folder for downloads.

    Raises:
        ValueError: if the file is missing.
    """
    if not is_address(source):
        path = Path(source) / name
        if not path.is_file():
            raise ValueError(
                f"{str(path)!r} does not exist (working directory {str(Path.cwd())!r}). Correct `root`, or write the "
                "shards: python -m mtl.cli.write_shards --config CONFIG --to FOLDER."
            )
        return path.read_text("utf-8")
    # a name that only this process uses, so that no other process reads a partial file
    path = cache_dir / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.{time.time_ns()}.{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    _download(source, name, path)
    try:
        return path.read_text("utf-8")
    finally:
        path.unlink()


def _download(source: str, name: str, path: Path) -> None:
    downloader = import_optional("litdata.streaming.downloader", "streaming")
    try:
        downloader.get_downloader(source, str(path.parent), []).download_file(f"{source}/{name}", str(path))
    except Exception as error:  # each storage client has different exceptions
        raise ValueError(
            f"cannot download {source}/{name}: {type(error).__name__}: {error}. Correct `root`, or check that the "
            "storage is reachable and this account can read it."
        ) from error


def _read_index(text: str, where: str) -> list[dict[str, Any]]:
    try:
        index = json.loads(text)
        shards: list[dict[str, Any]] = index["chunks"]
        for shard in shards:
            if Path(shard["filename"]).name != shard["filename"] or min(shard["chunk_size"], shard["chunk_bytes"]) < 1:
                raise ValueError(f"entry {shard}")
            if shard["chunk_bytes"] < 8 + 4 * shard["chunk_size"]:  # a shard begins with the places of its samples
                raise ValueError(f"entry {shard} has more samples than bytes for them")
        form = {key: index["config"][key] for key in ("data_format", "compression", "encryption")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{where} is damaged ({type(error).__name__}: {error}). Copy it again, or write the shards again."
        ) from error
    # other formats may be pickles, which run code
    if form != {"data_format": ["bytes"], "compression": None, "encryption": None} or not shards:
        raise ValueError(
            f"{where} lists {len(shards)} shards of form {form}; expected shards of bytes, as written by "
            "`python -m mtl.cli.write_shards`. Write them again from the original data."
        )
    return shards


def _check_length(path: Path, shard: dict[str, Any], may_be_missing: bool = False) -> None:
    if may_be_missing and not path.exists():
        return
    length = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
    if length != f"{shard['chunk_bytes']} bytes":
        raise ValueError(
            f"shard {str(path)!r} is damaged or missing: found {length}, {INDEX} says {shard['chunk_bytes']} bytes. "
            "Delete it and copy it again, or write the shards again."
        )
