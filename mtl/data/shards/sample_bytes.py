"""Samples as bytes: a JSON header followed by tensors. Unlike a pickle, reading them runs no code.

Layout, little endian: CRC-32 of the rest (uint32), length of the header (uint32), the header, the tensors.
"""

import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from mtl.batch import Sample

_HEAD = struct.Struct("<II")  # CRC, length of the header
_PICTURES = {"Image": tv_tensors.Image, "Mask": tv_tensors.Mask}


def encode_sample(sample: Sample, png: bool = False) -> bytes:
    """One sample as bytes.

    Args:
        sample: a flat dict of tensors, numbers and strings.
        png: compress the picture as PNG: lossless, smaller, slower to read.

    Raises:
        ValueError: for a value of another type.
    """
    header: dict[str, Any] = {}
    buffers = []
    for key, value in sample.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            header[key], buffer = _encode_tensor(value, png)
            buffers.append(buffer)
        elif isinstance(value, np.generic):
            header[key] = value.item()
        elif value is None or isinstance(value, bool | int | float | str):
            header[key] = value
        else:
            raise ValueError(
                f"a sample's {key!r} is a {type(value).__name__}; shards store tensors, numbers and strings. "
                "Convert it to a tensor in the data set."
            )
    text = json.dumps(header).encode()
    body = struct.pack("<I", len(text)) + text + b"".join(buffers)
    return struct.pack("<I", zlib.crc32(body)) + body


def decode_sample(data: bytes) -> Sample:
    """Decode a sample; the inverse of `encode_sample`.

    Args:
        data: the bytes.

    Raises:
        ValueError: if the bytes are incomplete or damaged.
    """
    if len(data) < _HEAD.size:
        raise ValueError(f"only {len(data)} bytes")
    checksum, length = _HEAD.unpack_from(data)
    if zlib.crc32(memoryview(data)[4:]) != checksum:
        raise ValueError("its checksum is wrong")
    start = _HEAD.size + length
    try:
        sample: Sample = json.loads(data[_HEAD.size : start])
        for key, value in sample.items():
            if isinstance(value, dict):
                # a copy, so that the tensor is writable
                sample[key] = _decode_tensor(value, bytearray(data[start : start + value["bytes"]]))
                start += value["bytes"]
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError) as error:
        raise ValueError(f"its header does not describe its tensors ({type(error).__name__}: {error})") from error
    return sample


def _encode_tensor(value: Tensor, png: bool) -> tuple[dict[str, Any], bytes]:
    about: dict[str, Any] = {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if isinstance(value, tv_tensors.BoundingBoxes):
        about |= {"as": "BoundingBoxes", "format": value.format.value, "canvas_size": list(value.canvas_size)}
    elif isinstance(value, tv_tensors.KeyPoints):
        about |= {"as": "KeyPoints", "canvas_size": list(value.canvas_size)}
    elif type(value).__name__ in _PICTURES:
        about["as"] = type(value).__name__
    plain = value.detach().cpu().as_subclass(Tensor).contiguous()
    if png and about.get("as") == "Image" and plain.dtype == torch.uint8 and plain.shape[:-2] == (3,):
        packed = io.BytesIO()
        Image.fromarray(plain.permute(1, 2, 0).numpy()).save(packed, "PNG")
        about["packed"] = "PNG"
        buffer = packed.getvalue()
    else:
        # viewed as bytes first: NumPy has no bfloat16
        buffer = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return about | {"bytes": len(buffer)}, buffer


def _decode_tensor(about: dict[str, Any], buffer: bytearray) -> Tensor:
    if "packed" in about:
        with Image.open(io.BytesIO(buffer), formats=["PNG"]) as picture:
            plain = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    else:
        dtype = getattr(torch, about["dtype"])
        # frombuffer rejects an empty buffer
        plain = torch.frombuffer(buffer, dtype=dtype) if buffer else torch.empty(0, dtype=dtype)
        plain = plain.reshape(about["shape"])
    kind = about.get("as")
    wrapped: Tensor = plain
    if kind == "BoundingBoxes":
        wrapped = tv_tensors.BoundingBoxes(plain, format=about["format"], canvas_size=tuple(about["canvas_size"]))
    elif kind == "KeyPoints":
        wrapped = tv_tensors.KeyPoints(plain, canvas_size=tuple(about["canvas_size"]))
    elif kind is not None:
        wrapped = _PICTURES[kind](plain)
    return wrapped
