"""Files of weights in the safetensors format: as their own package writes them, and damaged ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.config.foreign_files import UnsafeFile
from mtl.runs.safetensors_file import _DTYPES, read_safetensors


def write(path: Path, header: Any, content: bytes = b"") -> Path:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def entry(dtype: str, shape: list[int], first: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}


def test_tensors_are_read_by_name(tmp_path: Path) -> None:
    content = torch.tensor([1.5, -2.0, 3.0, 4.0]).numpy().tobytes() + torch.tensor([7]).numpy().tobytes()
    header = {"__metadata__": {"format": "pt"}, "a.weight": entry("F32", [2, 2], 0, 16), "n": entry("I64", [], 16, 24)}
    found = read_safetensors(write(tmp_path / "w.safetensors", header, content))
    assert found["a.weight"].tolist() == [[1.5, -2.0], [3.0, 4.0]]
    assert (found["n"].shape, int(found["n"])) == (torch.Size([]), 7)
    found["a.weight"].zero_()  # the memory is ours


def test_every_dtype_is_read_as_its_own_package_reads_it(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.torch")
    tensors = {name: torch.tensor([[0, 1, 1]]).to(dtype) for name, dtype in _DTYPES.items()} | {"e": torch.zeros(0, 3)}
    package.save_file(tensors, tmp_path / "w.safetensors")
    found = read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{" * 50, "no JSON"),
        ([1], "names no tensors"),
        ({"a": entry("F32", [2], 0, 9)}, "do not fit its shape"),
        ({"a": entry("F32", [2], 8, 16)}, "do not fit its shape"),
        ({"a": entry("F32", [-1, -2], 0, 8)}, "do not fit its shape"),
        ({"a": entry("X9", [2], 0, 8)}, "does not say dtype"),
        ({"a": 3}, "does not say dtype"),
    ],
)
def test_damaged_files_are_refused(header: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeFile, match=message):
        read_safetensors(write(tmp_path / "w.safetensors", header, b"\0" * 8))


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes((10**9).to_bytes(8, "little") + b"{}")
    with pytest.raises(UnsafeFile, match="longer than the file"):
        read_safetensors(tmp_path / "w.safetensors")
