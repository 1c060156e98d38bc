import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, newest_good, read_checkpoint


def save(path: Path, step: int, **more: Any) -> Path:
    state = {"state_dict": {"weight": torch.arange(64.0)}, "global_step": step, "optimizer_states": [], **more}
    torch.save(state, path)
    return path


def flip_a_bit(path: Path) -> None:
    """Of a weight, not of the archive's own words."""
    content = bytearray(path.read_bytes())
    content[content.find(torch.arange(64.0).numpy().tobytes()) + 40] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_of_a_weight_is_seen_although_torch_does_not(tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt", 5)
    assert read_checkpoint(path)["global_step"] == 5
    flip_a_bit(path)
    assert not torch.equal(torch.load(path, weights_only=True)["state_dict"]["weight"], torch.arange(64.0))
    with pytest.raises(ValueError, match=r"last.ckpt' \([\d,]+ bytes\) is damaged .* the checksum of 'last/data/0' is"):
        read_checkpoint(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_off_checkpoint_names_the_newest_good_one(tmp_path: Path, part: float) -> None:
    path = save(tmp_path / "last.ckpt", 9)
    save(tmp_path / "older.ckpt", 3)
    save(tmp_path / "best.ckpt", 6)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"last.ckpt' .* is damaged .* newest good one .*best.ckpt', of step 6\."):
        read_checkpoint(path)


def test_the_newest_is_told_by_its_step_and_last_comes_first(tmp_path: Path) -> None:
    assert newest_good(tmp_path) is None
    save(tmp_path / "last.ckpt", 7)  # written first: a clock that jumps changes nothing
    save(tmp_path / "best.ckpt", 5)
    assert newest_good(tmp_path) == (tmp_path / "last.ckpt", 7)
    save(tmp_path / "best.ckpt", 7)
    assert newest_good(tmp_path) == (tmp_path / "last.ckpt", 7)
    flip_a_bit(tmp_path / "last.ckpt")
    assert newest_good(tmp_path) == (tmp_path / "best.ckpt", 7)
    (tmp_path / "best.ckpt").write_bytes(b"")
    assert newest_good(tmp_path) is None


def test_training_continues_from_no_weights_alone(tmp_path: Path) -> None:
    save(tmp_path / "best.ckpt", 5)
    torch.save({"state_dict": {}, "global_step": 9}, tmp_path / "weights.ckpt")
    assert newest_good(tmp_path, complete=True) == (tmp_path / "best.ckpt", 5)
    assert newest_good(tmp_path) == (tmp_path / "weights.ckpt", 9)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ValueError, match="is damaged or no checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("address", ["http://a.b/c.ckpt", "s3://a/b.ckpt", "gs://a/b.ckpt"])
def test_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is an address; download it"):
        checkpoint_file(address)


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are_and_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint 'best.ckpt'; it has none"):
        find_checkpoint(tmp_path)
    last = save(tmp_path / "checkpoints" / "last.ckpt", 5)
    with pytest.raises(FileNotFoundError, match="it has last: name one .*--ckpt_path"):
        find_checkpoint(tmp_path)
    assert find_checkpoint(tmp_path, "last") == last


def test_a_run_that_tested_its_last_weights_is_used_with_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "checkpoints").mkdir()
    last = save(tmp_path / "checkpoints" / "last.ckpt", 5)
    (tmp_path / "results.json").write_text("{}")
    assert find_checkpoint(tmp_path) == last
    assert "the last weights are used" in caplog.text
    best = save(tmp_path / "checkpoints" / "best.ckpt", 3)
    assert find_checkpoint(tmp_path) == best
