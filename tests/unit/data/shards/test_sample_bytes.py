"""Samples as bytes: a round trip keeps them, and damage is detected."""

import json
import struct
import zlib
from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.shards.sample_bytes import decode_sample, encode_sample

BOXES = torch.tensor([[2.5, 2, 9, 9], [4, 4, 15, 14]])
SAMPLE: Sample = {
    "image": tv_tensors.Image(torch.arange(3 * 8 * 6).reshape(3, 8, 6).to(torch.uint8)),
    "mask": tv_tensors.Mask(torch.arange(48).reshape(8, 6) - 3),
    "boxes": tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(8, 6)),  # type: ignore[call-overload]
    "box_labels": torch.tensor([3, 1]),
    "none_found": tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(8, 6)),  # type: ignore[call-overload]
    "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    "number": torch.tensor(7),
    "count": 0.1 + 0.2,
    "scene": 3,
    "word": "straße",
    "labelled/boxes": False,
    "missing": None,
}


def assert_same(first: Sample, second: Sample) -> None:
    """Equal keys, types and bits."""
    assert list(first) == list(second)
    for key, value in first.items():
        other = second[key]
        assert type(value) is type(other), key
        if isinstance(value, torch.Tensor):
            assert value.dtype == other.dtype
            assert torch.equal(value.nan_to_num(), other.nan_to_num())
            assert vars(value) == vars(other)  # canvas and format of boxes
        else:
            assert value == other, key


@pytest.mark.parametrize("png", [False, True])
def test_a_sample_comes_back_to_the_bit(png: bool) -> None:
    assert_same(SAMPLE, decode_sample(encode_sample(SAMPLE, png)))


def test_what_comes_back_may_be_written_to() -> None:
    data = encode_sample(SAMPLE)
    decode_sample(data)["image"].fill_(0)
    assert decode_sample(data)["image"].sum() > 0


def test_arrays_become_tensors_and_their_numbers_numbers() -> None:
    back = decode_sample(encode_sample({"a": torch.ones(2, 3).numpy(), "b": torch.tensor(2.5).numpy()[()]}))
    assert torch.equal(back["a"], torch.ones(2, 3))
    assert back["b"] == 2.5


@pytest.mark.parametrize("place", [0, 5, 40, -1])
def test_one_wrong_bit_anywhere_is_seen(place: int) -> None:
    data = bytearray(encode_sample(SAMPLE))
    data[place] ^= 1
    with pytest.raises(ValueError, match="checksum is wrong"):
        decode_sample(bytes(data))


def test_bytes_that_are_cut_off_are_seen() -> None:
    with pytest.raises(ValueError, match="checksum is wrong"):
        decode_sample(encode_sample(SAMPLE)[:-1])
    with pytest.raises(ValueError, match="only 3 bytes"):
        decode_sample(b"abc")


def test_refuses_what_would_need_a_pickle() -> None:
    with pytest.raises(ValueError, match="'thing' is a set; shards store tensors, numbers and strings"):
        encode_sample({"thing": {1, 2}})


@pytest.mark.parametrize(
    "header",
    [
        [1],
        {"x": {"bytes": 4, "dtype": "load", "shape": [1]}},
        {"x": {"bytes": 4, "dtype": "__dict__", "shape": [1]}},
        {"x": {"bytes": 4, "dtype": "float32", "shape": [10**12]}},
        {"x": {"bytes": "4", "dtype": "float32", "shape": [1]}},
        {"x": {"bytes": 4, "dtype": "float32", "shape": [1], "as": "x"}},
        {"x": {"bytes": 4, "packed": "PNG"}},
    ],
)
def test_a_header_that_describes_other_tensors_is_damage_although_its_checksum_is_right(header: Any) -> None:
    text = json.dumps(header).encode()
    body = struct.pack("<I", len(text)) + text + bytes(4)
    with pytest.raises(ValueError, match="its header does not describe its tensors"):
        decode_sample(struct.pack("<I", zlib.crc32(body)) + body)
