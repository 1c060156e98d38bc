"""Files of weights in the safetensors format, which holds tensors and nothing that could run; read without a package.

A file is the length of its header (8 bytes, little endian), the header (JSON: for each name its dtype, shape, and where
its bytes begin and end), and the bytes.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.config.foreign_files import UnsafeFile
from mtl.errors import printable

_MOST_HEADER = 100_000_000  # bytes, the limit of the format itself
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by name.

    Args:
        path: the file.

    Raises:
        UnsafeFile: if it is damaged or no such file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MOST_HEADER, size - 8):
            raise _damaged(path, "its header is longer than the file")
        try:
            header: Any = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, "its header is no JSON") from error
        if not isinstance(header, dict):
            raise _damaged(path, "its header names no tensors")
        content = file.read()
    return {
        str(name): _tensor(path, str(name), entry, content) for name, entry in header.items() if name != "__metadata__"
    }


def _tensor(path: Path, name: str, entry: Any, content: bytes) -> Tensor:
    try:
        dtype, shape = _DTYPES[entry["dtype"]], [int(side) for side in entry["shape"]]
        first, end = (int(place) for place in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its header does not say dtype, shape and place of {printable(name, 100)!r}") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0 or not 0 <= first <= end <= len(content) or end - first != count * dtype.itemsize:
        raise _damaged(path, f"the bytes of {printable(name, 100)!r} do not fit its shape {shape}")
    if not count:
        return torch.empty(shape, dtype=dtype)
    # a copy, which may be written to
    return torch.frombuffer(bytearray(content[first:end]), dtype=dtype).reshape(shape)


def _damaged(path: Path, reason: str) -> UnsafeFile:
    return UnsafeFile(f"{str(path)!r} is damaged, or no file of weights in the safetensors format: {reason}.")
