"""Arrays that are damaged, or hold something else, are named; none is read as something that it is not."""

from pathlib import Path

import numpy as np
import pytest

from mtl.data.arrays.array_files import ArrayField, ArrayFiles, load_array, read_classes
from mtl.task import Task

TASK = Task("labels", "segmentation", 3)
HEADER = b"\x93NUMPY\x01\x00"


def files(root: Path, image: np.ndarray, label: np.ndarray) -> ArrayFiles:  # type: ignore[type-arg]
    for folder, array in (("image", image), ("label", label)):
        (root / folder).mkdir()
        np.save(root / folder / "0.npy", array)
    return ArrayFiles(root, {"labels": ArrayField("label", read_classes)}, {"labels": TASK})


IMAGE, LABEL = np.full((4, 6, 3), 0.5, np.float32), np.ones((4, 6), np.float32)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read as an array"),
        (HEADER + b"\x10\x00{'descr': '<f4',", "cannot be read as an array"),
        (HEADER + b"\x04\x00{(\n\n", "cannot be read as an array"),  # Python's tokenizer says so
    ],
)
def test_a_damaged_array_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.npy' {why}") as raised:
        load_array(tmp_path / "a.npy")
    assert "\n" not in str(raised.value)


def test_archives_and_text_are_no_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=IMAGE)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="an archive of arrays"):
        load_array(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array(["sky"]))
    with pytest.raises(ValueError, match=r"array \[1\] of <U3; expected numbers"):
        load_array(tmp_path / "b.npy")


def test_bytes_of_another_machine_are_read(tmp_path: Path) -> None:
    sample = files(tmp_path, IMAGE.astype(">f4"), LABEL.astype(">i2"))[0]
    assert sample["image"].unique().tolist() == [128]
    assert sample["labels"].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("image", "label", "why"),
    [
        ((IMAGE * 255).astype(np.uint8), LABEL, "values 127 to 127; a picture has 0 to 1"),
        (np.where(IMAGE > 0, np.nan, IMAGE), LABEL, "values nan to nan"),
        (IMAGE[..., 0], LABEL, r"is \[4, 6\]; a picture is \[H,W,3\]"),
        (IMAGE, LABEL / 2, "numbers that are not whole"),
        (IMAGE, LABEL * np.nan, "numbers that are not whole"),
        (IMAGE, LABEL * 3, "has class 3"),
    ],
)
def test_values_of_another_meaning_are_refused(
    tmp_path: Path,
    image: np.ndarray,
    label: np.ndarray,
    why: str,  # type: ignore[type-arg]
) -> None:
    with pytest.raises(ValueError, match=rf"0\.npy' .*{why}"):
        files(tmp_path, image, label)[0]
